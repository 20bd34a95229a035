import { freeUdpPort } from '../../support/ports.js';
import type { BenchCase, Context, Row } from '../bench-case.js';
import { LoadGenerator } from '../load/generator.js';
import type { Calls, LoadResult, Target } from '../load/job.js';
import { fillBindings, freshCalls } from '../stage/bindings.js';
import { startEtcd } from '../stage/etcd.js';
import { RegisteredRelays } from '../stage/relays.js';
import { type Replica, startReplica } from '../stage/replica.js';
import { cpuUsPerCall, selectTarget } from './speed-stage.js';

/** The most that V8 may take for a third of it, MiB, and by how much the old one may grow between two collections. */
const variants: readonly (readonly string[])[] = [
  ['--max-semi-space-size=8', '--heap-growing-percent=100'],
  ['--max-semi-space-size=16'],
  ['--max-semi-space-size=16', '--heap-growing-percent=100'],
  ['--max-semi-space-size=64'],
];
const bound = 10_000;
const concurrency = 128;

/** What a smaller young generation costs under a load that lasts: replicas that differ in nothing else, each in its turn. */
export const youngGeneration: BenchCase = {
  name: 'young-generation',
  title: 'CPU time by the size of the young generation',
  async run(context) {
    const { scope, pick, progress } = context;
    const relayPort = await freeUdpPort();
    const etcd = await startEtcd(scope);
    const relays = await RegisteredRelays.register(scope, etcd, 3, { controlPort: relayPort });
    const load = LoadGenerator.start(scope);
    const calls: Calls & { count: number } = { ...freshCalls(), count: pick(bound, 1000) };
    await fillBindings(load, etcd, relays, calls);
    const replicas: Replica[] = [];
    for (const node of variants) {
      // The longest linger allowed keeps all bindings fresh during the load.
      const settings = { HOLDFAST_LINGER_SECONDS: '600' };
      replicas.push(await startReplica(scope, etcd, { node, gateway: 'ng', settings }));
    }
    const loads: readonly (readonly [string, (replica: Replica) => Target])[] = [
      ['new call, unary Select', (replica) => selectTarget(replica, freshCalls())],
      ['known call, unary Select', (replica) => selectTarget(replica, calls)],
      [
        'gateway command',
        ({ gatewayPort: port }) => ({
          kind: 'control',
          protocol: 'ng',
          port,
          relayPort,
          calls,
          commands: ['reoffer', 'answer'],
        }),
      ],
    ];
    const loop = { kind: 'closed', concurrency, warmupMs: 300, durationMs: pick(3000, 500) } as const;
    const results = loads.map(() => variants.map(() => [] as LoadResult[]));
    for (let round = 0; round < pick(12, 1); round++) {
      progress(`round ${round + 1}`);
      for (const [l, [, target]] of loads.entries()) {
        const order = [...replicas.entries()];
        for (const [v, replica] of round % 2 === 0 ? order : order.reverse()) {
          const job = { target: target(replica), loop, watch: [replica.pid] };
          // A datagram that a busy machine has lost ends its run, and says nothing of memory.
          const result = await load.attempt(job).catch(() => undefined);
          if (result) {
            results[l]?.[v]?.push(result);
          }
        }
      }
    }
    return { rows: loads.flatMap(([name], l) => rowsOf(context, name, results[l] ?? [])) };
  },
};

function rowsOf({ measured }: Context, name: string, results: readonly (readonly LoadResult[])[]): Row[] {
  const baseline = (results.at(-1) ?? []).map(cpuUsPerCall);
  return results.slice(0, -1).map((candidate, v) =>
    measured({
      name: `CPU of a ${name}, ${variants[v]?.join(' ')}`,
      unit: 'µs',
      against: variants.at(-1)?.join(' ') ?? '',
      baseline,
      candidate: candidate.map(cpuUsPerCall),
      aims: [],
      notes: { failed: candidate.reduce((sum, { errors }) => sum + errors, 0) },
    }),
  );
}
