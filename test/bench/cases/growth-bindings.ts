import type { BenchCase } from '../bench-case.js';
import { fillBindings, freshCalls } from '../stage/bindings.js';
import { residentBytes } from '../stage/cpu.js';
import { figure } from '../table.js';
import { selectTarget, setSpeedStage } from './speed-stage.js';

const x = { label: 'bindings in etcd', scale: 'log' } as const;

/** The cost of a new call, and the size of etcd, against the number of bindings. */
export const growthBindings: BenchCase = {
  name: 'growth-bindings',
  title: 'growth: cost against bindings',
  async run(context) {
    const { etcd, relays, replica, load } = await setSpeedStage(context);
    const durations = context.pick({ warmupMs: 1000, durationMs: 5000 }, { warmupMs: 200, durationMs: 500 });
    const p50: [number, number][] = [];
    const p99: [number, number][] = [];
    const disk: [number, number][] = [];
    const resident: [number, number][] = [];
    let stored = 0;
    for (const bindings of context.pick([1000, 10_000, 100_000, 1_000_000], [1000, 10_000])) {
      context.progress(`${bindings} bindings`);
      await fillBindings(load, etcd, relays, { ...freshCalls(), count: bindings - stored });
      stored = bindings;
      const { p50Us, p99Us } = await load.run({
        target: selectTarget(replica, freshCalls(), 1),
        loop: { kind: 'closed', concurrency: 1, ...durations },
      });
      context.progress(`p50 ${figure(p50Us)} µs, p99 ${figure(p99Us)} µs`);
      p50.push([bindings, p50Us]);
      p99.push([bindings, p99Us]);
      disk.push([bindings, ((await etcd.metrics()).get('etcd_mvcc_db_total_size_in_bytes') ?? 0) / 2 ** 20]);
      resident.push([bindings, residentBytes(etcd.pids[0] as number) / 2 ** 20]);
    }
    return {
      rows: [],
      plots: [
        {
          file: 'bindings-latency.svg',
          title: 'A new call by Select, one client',
          x,
          y: { label: 'µs', scale: 'log' },
          series: [
            { label: 'latency, p50', points: p50 },
            { label: 'latency, p99', points: p99 },
          ],
        },
        {
          file: 'bindings-etcd.svg',
          title: 'What etcd holds',
          x,
          y: { label: 'MiB', scale: 'log' },
          series: [
            { label: 'database file', points: disk },
            { label: 'resident memory', points: resident },
          ],
        },
      ],
    };
  },
};
