import { freeUdpPort } from '../../support/ports.js';
import type { BenchCase, Context, Row } from '../bench-case.js';
import { LoadGenerator } from '../load/generator.js';
import type { Calls, ControlCommand } from '../load/job.js';
import { inTurn } from '../rounds.js';
import { freshCalls } from '../stage/bindings.js';
import { startEtcd } from '../stage/etcd.js';
import { startForwarder } from '../stage/forwarder.js';
import { RegisteredRelays } from '../stage/relays.js';
import { startReplica } from '../stage/replica.js';
import { figure } from '../table.js';
import { measure } from './gateway.js';
import { callSetUp } from './sip.js';

const life: readonly ControlCommand[] = ['offer', 'answer', 'delete'];
const concurrency = 64;
const mostMs = 0.1;
const warmUpCalls = 4000;

/** What the gateway of rtpproxy's protocol costs: known calls, whole calls of a warm replica and of a fresh one, and a proxy's wait. */
export const rtpproxy: BenchCase = {
  name: 'rtpproxy',
  title:
    'rtpproxy gateway: in-dialog commands, whole calls of a warm replica and of a fresh one, set-up through Kamailio',
  async run(context) {
    const known: Row[] = [];
    for (const bindings of context.pick([1000, 100_000], [1000])) {
      known.push(await measure(context, 'rtpproxy', bindings));
    }
    const whole = [await wholeCalls(context, true), await wholeCalls(context, false)];
    return { rows: [...known, ...whole, ...(await callSetUp(context, 'rtpproxy'))] };
  },
};

/**
 * `U`, `L` and `D` of calls that nobody knows.
 * @param isWarm after as many others; else at a process that was just started: its code is not compiled yet
 */
async function wholeCalls(context: Context, isWarm: boolean): Promise<Row> {
  const { scope, pick } = context;
  const relayPort = await freeUdpPort();
  const etcd = await startEtcd(scope);
  await RegisteredRelays.register(scope, etcd, 3, { controlPort: relayPort, kind: 'rtpproxy' });
  const load = LoadGenerator.start(scope);
  const count = pick(400, 50);
  const playOnce = async (port: number, pid: number) => {
    const calls: Calls & { count: number } = { ...freshCalls(), count };
    let cpuSeconds = 0;
    for (const command of life) {
      const result = await load.run({
        target: { kind: 'control', protocol: 'rtpproxy', port, relayPort, calls, commands: [command] },
        loop: { kind: 'count', concurrency, operations: count },
        watch: [pid],
      });
      cpuSeconds += result.cpuSeconds[0] ?? Number.NaN;
    }
    return (cpuSeconds * 1000) / (count * life.length);
  };
  const play = async (port: number, pid: number) => {
    if (isWarm) {
      for (let calls = 0; calls < warmUpCalls; calls += count) {
        await playOnce(port, pid);
      }
    }
    return playOnce(port, pid);
  };
  const { baseline, candidate } = await inTurn(
    context,
    pick(5, 1),
    async () => {
      const forwarder = await startForwarder(scope, relayPort);
      return play(forwarder.port, forwarder.pid);
    },
    async () => {
      const replica = await startReplica(scope, etcd, { gateway: 'rtpproxy' });
      return play(replica.gatewayPort, replica.pid);
    },
  );
  await scope.close();
  return context.measured({
    name: isWarm
      ? 'rtpproxy gateway, whole new calls, CPU per command'
      : `rtpproxy gateway, first ${figure(count * life.length)} commands of a replica, CPU per command`,
    unit: 'ms',
    against: 'bare UDP forwarder',
    baseline,
    candidate,
    aims: [{ of: 'candidate', most: mostMs }],
  });
}
