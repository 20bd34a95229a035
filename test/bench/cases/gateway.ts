import type { ProtocolName } from '../../../services/control/protocol.js';
import { freeUdpPort } from '../../support/ports.js';
import type { BenchCase, Context, Plot, Row } from '../bench-case.js';
import { LoadGenerator } from '../load/generator.js';
import type { Calls, ControlCommand, LoadResult, Target } from '../load/job.js';
import { inTurn } from '../rounds.js';
import { fillBindings, freshCalls } from '../stage/bindings.js';
import { startEtcd } from '../stage/etcd.js';
import { startForwarder } from '../stage/forwarder.js';
import { RegisteredRelays } from '../stage/relays.js';
import { startReplica } from '../stage/replica.js';
import { median } from '../statistics.js';
import { figure } from '../table.js';

/** A re-INVITE and its answer. */
const commands: readonly ControlCommand[] = ['reoffer', 'answer'];
const concurrency = 64;
const aimsPerSecond: Readonly<Record<ProtocolName, number>> = { ng: 20_000, rtpproxy: 25_000 };

/**
 * In-dialog commands on cached bindings. "On one core" is computed from the gateway's CPU time: on a small machine the load
 * generator, which acts as proxies and relay, competes for the cores.
 */
export const gateway: BenchCase = {
  name: 'gateway',
  title: 'ng gateway alone: in-dialog commands',
  async run(context) {
    const rows: Row[] = [];
    const curve: [number, number][] = [];
    for (const bindings of context.pick([1000, 10_000, 100_000, 1_000_000], [1000, 5000])) {
      const row = await measure(context, 'ng', bindings);
      rows.push(row);
      curve.push([bindings, median(row.candidate)]);
    }
    const plot: Plot = {
      file: 'gateway.svg',
      title: 'ng gateway: in-dialog commands per second of CPU time',
      x: { label: 'cached bindings', scale: 'log' },
      y: { label: 'commands per second, one core', scale: 'linear' },
      series: [{ label: 'gateway', points: curve }],
    };
    return { rows, plots: [plot] };
  },
};

/** In-dialog commands through a gateway that knows so many calls. */
export async function measure(context: Context, protocol: ProtocolName, bindings: number): Promise<Row> {
  const { scope, pick, progress } = context;
  const relayPort = await freeUdpPort();
  const etcd = await startEtcd(scope);
  const relays = await RegisteredRelays.register(scope, etcd, 3, {
    controlPort: relayPort,
    kind: protocol === 'ng' ? 'rtpengine' : protocol,
  });
  // The longest linger allowed keeps all bindings fresh during the load.
  const settings = { HOLDFAST_CACHE_ENTRIES: String(bindings + 1000), HOLDFAST_LINGER_SECONDS: '600' };
  const replica = await startReplica(scope, etcd, { gateway: protocol, settings });
  const forwarder = await startForwarder(scope, relayPort);
  const load = LoadGenerator.start(scope);
  const calls: Calls & { count: number } = { ...freshCalls(), count: bindings };
  progress(`${figure(bindings)} bindings`);
  await fillBindings(load, etcd, relays, calls);
  const target = (port: number): Target => ({ kind: 'control', protocol, port, relayPort, calls, commands });
  // A late answer among so many is not a failure, as long as the gateway has the bindings.
  await load.attempt({
    target: { kind: 'control', protocol, port: replica.gatewayPort, relayPort, calls, commands: ['query'] },
    loop: { kind: 'count', concurrency: 256, operations: bindings },
  });
  const known = (await replica.metrics()).get('holdfast_cached_bindings') ?? 0;
  if (known < bindings) {
    throw new Error(`the gateway knows ${known} of ${bindings} bindings`);
  }
  const durations = pick({ warmupMs: 1500, durationMs: 5000 }, { warmupMs: 300, durationMs: 700 });
  const loop = { kind: 'closed', concurrency, ...durations } as const;
  const { baseline, candidate } = await inTurn(
    context,
    pick(5, 1),
    () => load.run({ target: target(forwarder.port), loop, watch: [forwarder.pid] }),
    () => load.run({ target: target(replica.gatewayPort), loop, watch: [replica.pid] }),
  );
  // After a stall of a few 100 ms an open loop overflows socket buffers: reported, not fatal.
  const half = await load.attempt({
    target: target(replica.gatewayPort),
    loop: { kind: 'open', perSecond: median(candidate.map(({ perSecond }) => perSecond)) / 2, ...durations },
  });
  await context.scope.close();
  return context.measured({
    name: `${protocol === 'ng' ? '' : `${protocol} `}gateway, in-dialog commands per core, ${figure(bindings)} bindings`,
    unit: '/s',
    against: 'bare UDP forwarder',
    baseline: baseline.map(perCore),
    candidate: candidate.map(perCore),
    aims: [{ of: 'candidate', least: aimsPerSecond[protocol] }],
    notes: {
      'by the wall clock, commands/s': figure(median(candidate.map(({ perSecond }) => perSecond))),
      'p50 at half of that, µs': figure(half.p50Us),
      'p99 at half of that, µs': figure(half.p99Us),
      'failed at half of that': figure(half.errors),
    },
  });
}

function perCore({ calls, cpuSeconds }: LoadResult): number {
  return calls / (cpuSeconds[0] ?? Number.NaN);
}
