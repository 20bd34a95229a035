import type { BenchCase } from '../bench-case.js';
import type { LoadResult } from '../load/job.js';
import { freshCalls } from '../stage/bindings.js';
import { figure } from '../table.js';
import { selectTarget, setSpeedStage, warmUp } from './speed-stage.js';

const x = { label: 'new calls per second', scale: 'log' } as const;
/** Beyond it the replica falls behind, and the latency is that of the queue. */
const keepsUp = 0.95;

/** Latency and CPU against the call rate, up to the capacity of one replica. */
export const growthRate: BenchCase = {
  name: 'growth-rate',
  title: 'growth: cost against call rate',
  async run(context) {
    const stage = await setSpeedStage(context);
    const { etcd, replica, load } = stage;
    await warmUp(context, stage);
    const durations = context.pick({ warmupMs: 1500, durationMs: 6000 }, { warmupMs: 200, durationMs: 500 });
    const results: [number, LoadResult][] = [];
    for (const perSecond of context.pick(
      [50, 100, 200, 500, 1000, 2000, 3000, 4000, 6000, 8000],
      [100, 500],
    )) {
      context.progress(`${perSecond} calls/s`);
      const result = await load.attempt({
        target: selectTarget(replica, freshCalls()),
        loop: { kind: 'open', perSecond, ...durations },
        watch: [replica.pid, ...etcd.pids],
      });
      if (result.errors > 0 || result.perSecond < perSecond * keepsUp) {
        break;
      }
      context.progress(`p50 ${figure(result.p50Us)} µs, p99 ${figure(result.p99Us)} µs`);
      results.push([perSecond, result]);
    }
    const curve = (label: string, value: (result: LoadResult) => number) => ({
      label,
      points: results.map(([rate, result]) => [rate, value(result)] as const),
    });
    return {
      rows: [],
      plots: [
        {
          file: 'rate-latency.svg',
          title: 'A new call by Select, one replica',
          x,
          y: { label: 'µs', scale: 'log' },
          series: [curve('latency, p50', ({ p50Us }) => p50Us), curve('latency, p99', ({ p99Us }) => p99Us)],
        },
        {
          file: 'rate-cpu.svg',
          title: 'CPU in use, new calls by Select, one replica',
          x,
          y: { label: 'cores', scale: 'linear' },
          series: [
            curve('replica', ({ cpuSeconds, seconds }) => (cpuSeconds[0] ?? 0) / seconds),
            curve('etcd', ({ cpuSeconds, seconds }) => (cpuSeconds[1] ?? 0) / seconds),
          ],
        },
      ],
    };
  },
};
