import type { BenchCase } from '../bench-case.js';
import { inTurn } from '../rounds.js';
import { freshCalls } from '../stage/bindings.js';
import { median } from '../statistics.js';
import { figure } from '../table.js';
import {
  cpuUsPerCall,
  otherCpuUsPerCall,
  p50s,
  rates,
  type SpeedStage,
  setSpeedStage,
  streamTarget,
} from './speed-stage.js';

/** The cost of an etcd cluster: a majority writes a new call to disk before the answer. All on this machine. */
export const members: BenchCase = {
  name: 'members',
  title: 'new calls on an etcd of three members',
  async run(context) {
    const one = await setSpeedStage(context);
    const three = await setSpeedStage(context, { memberCount: 3 });
    const durations = context.pick({ warmupMs: 1500, durationMs: 5000 }, { warmupMs: 300, durationMs: 500 });
    const selects = ({ replica, etcd, load }: SpeedStage, concurrency: number) =>
      load.run({
        target: streamTarget(replica, freshCalls(), Math.min(concurrency, 4)),
        loop: { kind: 'closed', concurrency, ...durations },
        watch: [replica.pid, ...etcd.pids],
      });
    const measure = (concurrency: number) =>
      inTurn(
        context,
        context.pick(5, 1),
        () => selects(one, concurrency),
        () => selects(three, concurrency),
      );
    const busy = await measure(512);
    const alone = await measure(1);
    return {
      rows: [
        {
          name: 'new calls, SelectStream, etcd of 3 members',
          unit: '/s',
          against: 'etcd of 1 member',
          baseline: rates(busy.baseline),
          candidate: rates(busy.candidate),
          aims: [],
          notes: {
            'replica CPU per call, µs': figure(median(busy.candidate.map(cpuUsPerCall))),
            'CPU of all members per call, µs': figure(median(busy.candidate.map(otherCpuUsPerCall))),
            'CPU of a single member per call, µs': figure(median(busy.baseline.map(otherCpuUsPerCall))),
          },
        },
        {
          name: 'latency of a new call alone, etcd of 3 members',
          unit: 'µs',
          against: 'etcd of 1 member',
          baseline: p50s(alone.baseline),
          candidate: p50s(alone.candidate),
          aims: [],
        },
      ],
    };
  },
};
