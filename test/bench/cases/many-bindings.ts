import type { BenchCase, Context } from '../bench-case.js';
import { LoadGenerator } from '../load/generator.js';
import { inTurn } from '../rounds.js';
import { fillBindings, freshCalls } from '../stage/bindings.js';
import { startEtcd } from '../stage/etcd.js';
import { RegisteredRelays } from '../stage/relays.js';
import { startReplica } from '../stage/replica.js';
import { figure } from '../table.js';
import { p50s, selectTarget } from './speed-stage.js';

/** Two installations side by side, one with many bindings. */
export const manyBindings: BenchCase = {
  name: 'many-bindings',
  title: 'latency of a new call with many bindings in etcd',
  async run(context) {
    const load = LoadGenerator.start(context.scope);
    const few = await registryWith(context, load, 1000);
    const many = await registryWith(context, load, context.pick(1_000_000, 20_000));
    const durations = context.pick({ warmupMs: 1000, durationMs: 4000 }, { warmupMs: 200, durationMs: 500 });
    const loop = { kind: 'closed', concurrency: 1, ...durations } as const;
    const { baseline, candidate } = await inTurn(
      context,
      context.pick(7, 1),
      () => load.run({ target: selectTarget(few, freshCalls(), 1), loop }),
      () => load.run({ target: selectTarget(many, freshCalls(), 1), loop }),
    );
    return {
      rows: [
        {
          name: `new call p50, ${figure(many.bindings)} bindings in etcd`,
          unit: 'µs',
          against: `with ${figure(few.bindings)}`,
          baseline: p50s(baseline),
          candidate: p50s(candidate),
          aims: [{ of: 'ratio', most: 1.15 }],
        },
      ],
    };
  },
};

async function registryWith({ scope, progress }: Context, load: LoadGenerator, bindings: number) {
  const etcd = await startEtcd(scope);
  const relays = await RegisteredRelays.register(scope, etcd, 3);
  progress(`filling an etcd with ${figure(bindings)} bindings`);
  await fillBindings(load, etcd, relays, { ...freshCalls(), count: bindings });
  const { grpcPort } = await startReplica(scope, etcd);
  return { grpcPort, bindings };
}
