import type { BenchCase } from '../bench-case.js';
import { fillBindings, freshCalls } from '../stage/bindings.js';
import { figure } from '../table.js';
import { setSpeedStage, streamTarget } from './speed-stage.js';

const gauge = 'holdfast_cached_bindings';

/** Memory of a replica per cached binding, and that its growth ends. */
export const memory: BenchCase = {
  name: 'memory',
  title: 'replica memory per cached binding',
  async run(context) {
    const capacity = context.pick(200_000, 10_000);
    const stage = await setSpeedStage(context, {
      measures: 'memory',
      settings: { HOLDFAST_CACHE_ENTRIES: String(capacity) },
    });
    const { etcd, relays, replica, load } = stage;
    const learn = async (count: number) => {
      const calls = { ...freshCalls(), count };
      await fillBindings(load, etcd, relays, calls);
      await load.run({
        target: streamTarget(replica, calls),
        loop: { kind: 'count', concurrency: 256, operations: count },
      });
    };
    // What the first calls allocate once is not counted per binding.
    await learn(1000);
    const before = await replica.usedBytes();
    const known = (await replica.metrics()).get(gauge) ?? 0;
    context.progress('filling the cache');
    await learn(capacity - known);
    const full = await replica.usedBytes();
    const row = context.measured({
      name: 'replica memory per cached binding',
      unit: 'bytes',
      against: '',
      baseline: [],
      candidate: [(full - before) / (capacity - known)],
      aims: [{ of: 'candidate', most: 250 }],
    });
    context.progress('twice as many calls as fit');
    await learn(capacity);
    const beyond = await replica.usedBytes();
    const entries = (await replica.metrics()).get(gauge) ?? 0;
    return {
      rows: [
        row,
        {
          name: 'cached bindings after twice as many as fit',
          unit: 'calls',
          against: 'the bound',
          baseline: [capacity],
          candidate: [entries],
          aims: [{ of: 'ratio', most: 1 }],
          notes: { 'memory, by what it was when full': figure(beyond / full) },
        },
      ],
    };
  },
};
