import { policyNames } from '../../../services/placement/placement.js';
import type { BenchCase, PlotSeries } from '../bench-case.js';
import { freshCalls } from '../stage/bindings.js';
import { figure } from '../table.js';
import { usPerChoice } from './placement.js';
import { cpuUsPerCall, selectTarget, setSpeedStage, warmUp } from './speed-stage.js';

const x = { label: 'registered relays', scale: 'log' } as const;

/** The cost of a new call against the size of the relay set. */
export const growthRelays: BenchCase = {
  name: 'growth-relays',
  title: 'growth: cost against relays',
  async run(context) {
    const counts = context.pick([3, 10, 30, 100, 300, 1000], [3, 100]);
    const choices = context.pick(50_000, 2000);
    const policies = policyNames.map(
      (policy): PlotSeries => ({
        label: policy,
        points: counts.map((count) => [count, usPerChoice(policy, count, choices)]),
      }),
    );
    const p50: [number, number][] = [];
    const p99: [number, number][] = [];
    const cpu: [number, number][] = [];
    const durations = context.pick({ warmupMs: 1000, durationMs: 5000 }, { warmupMs: 200, durationMs: 500 });
    for (const relayCount of counts) {
      context.progress(`${relayCount} relays`);
      const stage = await setSpeedStage(context, { relayCount });
      const { replica, load } = stage;
      await warmUp(context, stage);
      const result = await load.run({
        target: selectTarget(replica, freshCalls()),
        loop: { kind: 'open', perSecond: 500, ...durations },
        watch: [replica.pid],
      });
      context.progress(`p50 ${figure(result.p50Us)} µs, p99 ${figure(result.p99Us)} µs`);
      p50.push([relayCount, result.p50Us]);
      p99.push([relayCount, result.p99Us]);
      cpu.push([relayCount, cpuUsPerCall(result)]);
      await context.scope.close();
    }
    return {
      rows: [],
      plots: [
        {
          file: 'relays-placement.svg',
          title: 'One choice of a relay',
          x,
          y: { label: 'µs', scale: 'log' },
          series: policies,
        },
        {
          file: 'relays-select.svg',
          title: 'A new call by Select, 500 calls/s',
          x,
          y: { label: 'µs', scale: 'log' },
          series: [
            { label: 'latency, p50', points: p50 },
            { label: 'latency, p99', points: p99 },
            { label: 'replica CPU per call', points: cpu },
          ],
        },
      ],
    };
  },
};
