import type { BenchCase, Row } from '../bench-case.js';
import type { LoadResult } from '../load/job.js';
import { inTurn, type Rounds } from '../rounds.js';
import { bindingValues, freshCalls } from '../stage/bindings.js';
import { median } from '../statistics.js';
import { figure } from '../table.js';
import { p50s, selectTarget, setSpeedStage, warmUp } from './speed-stage.js';

const leaseSeconds = 3600;

/**
 * One client with one call at a time, compared with the same write sent to etcd directly: by the load generator's own
 * client, which costs almost nothing, and by etcd3, which Holdfast uses.
 */
export const latencyAlone: BenchCase = {
  name: 'latency-alone',
  title: 'latency of a new call, one client',
  async run(context) {
    const stage = await setSpeedStage(context);
    const { etcd, relays, replica, load } = stage;
    const { guard, keys } = relays;
    const lease = (await etcd.client.leaseClient.leaseGrant({ TTL: leaseSeconds })).ID;
    const durations = context.pick({ warmupMs: 1000, durationMs: 4000 }, { warmupMs: 200, durationMs: 500 });
    const loop = { kind: 'closed', concurrency: 1, ...durations } as const;
    const write = () => {
      const calls = freshCalls();
      return { prefix: keys.calls, calls, guard, values: bindingValues(relays, calls) };
    };
    const raw = () => {
      const { values, ...rest } = write();
      return load.run({
        target: { kind: 'etcd-bytes', port: etcd.port, lease, value: values[0] ?? '', ...rest },
        loop,
      });
    };
    const client = () =>
      load.run({
        target: { kind: 'etcd', endpoint: etcd.endpoint, batch: 1, ttlSeconds: leaseSeconds, ...write() },
        loop,
      });
    const select = () => load.run({ target: selectTarget(replica, freshCalls(), 1), loop });
    await warmUp(context, stage);
    const rounds = context.pick(7, 1);
    const row = (against: string, { baseline, candidate }: Rounds<LoadResult, LoadResult>): Row =>
      context.measured({
        name: 'latency, one client, new call p50',
        unit: 'µs',
        against,
        baseline: p50s(baseline),
        candidate: p50s(candidate),
        aims: [{ of: 'ratio', most: 1.5 }],
        notes: {
          'etcd p99, µs': figure(median(baseline.map(({ p99Us }) => p99Us))),
          'Select p99, µs': figure(median(candidate.map(({ p99Us }) => p99Us))),
        },
      });
    return {
      rows: [
        row('one raw etcd transaction, no client cost', await inTurn(context, rounds, raw, select)),
        row('one raw etcd transaction by etcd3', await inTurn(context, rounds, client, select)),
      ],
    };
  },
};

const concurrency = 512;

/** Latency of the slowest calls below the capacity. */
export const latencyAtHalf: BenchCase = {
  name: 'latency-half',
  title: 'latency of new calls at half of the peak load',
  async run(context) {
    const { replica, load } = await setSpeedStage(context);
    const durations = context.pick({ warmupMs: 2000, durationMs: 6000 }, { warmupMs: 300, durationMs: 700 });
    const peak = await load.run({
      target: selectTarget(replica, freshCalls()),
      loop: { kind: 'closed', concurrency, ...durations },
    });
    const results = [];
    for (let round = 0; round < context.pick(5, 1); round++) {
      context.progress(`round ${round + 1}`);
      results.push(
        await load.run({
          target: selectTarget(replica, freshCalls()),
          loop: { kind: 'open', perSecond: peak.perSecond / 2, ...durations },
        }),
      );
    }
    return {
      rows: [
        {
          name: 'latency at half of peak, new call p99',
          unit: 'µs',
          against: 'its own p50',
          baseline: p50s(results),
          candidate: results.map(({ p99Us }) => p99Us),
          aims: [{ of: 'ratio', most: 5 }],
          notes: { 'peak, calls/s': figure(peak.perSecond) },
        },
      ],
    };
  },
};
