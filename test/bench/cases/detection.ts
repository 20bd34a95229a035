import { setTimeout as delay } from 'node:timers/promises';
import type { BenchCase, Context } from '../bench-case.js';
import { startEtcd } from '../stage/etcd.js';
import { NewCallWatch } from '../stage/new-call-watch.js';
import { requireProgram } from '../stage/program.js';
import { type RelayHost, startRelayHost } from '../stage/relay-node.js';
import { startReplica } from '../stage/replica.js';
import { quantile } from '../statistics.js';
import { figure } from '../table.js';

/** Relays that fail in one batch; a few more stay and take the calls. */
const perBatch = 4;
const staying = 1;

/** From the death of a relay to the last new call that is sent to it. */
export const detection: BenchCase = {
  name: 'detection',
  title: 'a relay dies: the last new call that is sent to it',
  async run(context) {
    const row = (name: string, times: number[], most: number) =>
      context.measured({
        name,
        unit: 'ms',
        against: '',
        baseline: [],
        candidate: [quantile(times, 0.99)],
        aims: [{ of: 'candidate', most }],
        notes: {
          trials: times.length,
          'p50, ms': figure(quantile(times, 0.5)),
          'most, ms': figure(Math.max(...times)),
        },
      });
    const killed = await lastCallsAfter(context, context.pick(10, 1), 2500, ({ rtpengine }) =>
      rtpengine.signal('SIGKILL'),
    );
    const ofKilled = row('detection, relay process killed: last new call, p99', killed, 1500);
    const frozen = await lastCallsAfter(context, context.pick(4, 1), 8000, ({ rtpengine, node }) => {
      for (const each of [node, rtpengine]) {
        each.signal('SIGSTOP');
      }
    });
    return { rows: [ofKilled, row('detection, host frozen: last new call, p99', frozen, 6000)] };
  },
};

async function lastCallsAfter(
  context: Context,
  batches: number,
  waitMs: number,
  hurt: (host: RelayHost) => void,
): Promise<number[]> {
  const rtpengine = requireProgram('rtpengine');
  const times: number[] = [];
  for (let batch = 0; batch < batches; batch++) {
    context.progress(`batch ${batch + 1} of ${batches}`);
    const etcd = await startEtcd(context.scope);
    const replica = await startReplica(context.scope, etcd);
    const hosts: RelayHost[] = [];
    for (let i = 0; i < perBatch + staying; i++) {
      hosts.push(await startRelayHost(context.scope, etcd, `relay-${i + 1}`, rtpengine));
    }
    const watch = new NewCallWatch(context.scope, replica);
    await delay(1500);
    const hurtAtMs = new Map<string, number>();
    for (const host of hosts.slice(staying)) {
      // At a random point of the periods of probes and keepalives.
      await delay(Math.random() * 500);
      hurtAtMs.set(host.id, performance.now());
      hurt(host);
    }
    await delay(waitMs);
    for (const [id, atMs] of hurtAtMs) {
      times.push(Math.max(0, (watch.lastCallMs(id) ?? atMs) - atMs));
    }
    await context.scope.close();
  }
  return times;
}
