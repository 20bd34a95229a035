import type { BenchCase, Row } from '../bench-case.js';
import type { LoadResult } from '../load/job.js';
import { inTurn } from '../rounds.js';
import { bindingValues, freshCalls } from '../stage/bindings.js';
import { median } from '../statistics.js';
import { figure } from '../table.js';
import {
  cpuUsPerCall,
  otherCpuUsPerCall,
  rates,
  selectTarget,
  setEchoStage,
  setSpeedStage,
  streamTarget,
} from './speed-stage.js';

const concurrency = 512;
const nested = 32;

/** New calls over the stream, compared with direct writes to the same etcd. */
export const newCallsStream: BenchCase = {
  name: 'new-stream',
  title: 'new calls, SelectStream, one replica',
  async run(context) {
    const { etcd, relays, replica, load } = await setSpeedStage(context);
    const durations = context.pick({ warmupMs: 1500, durationMs: 5000 }, { warmupMs: 300, durationMs: 500 });
    const watch = [replica.pid, ...etcd.pids];
    const writes = (batch: number) => {
      const calls = freshCalls();
      return load.run({
        target: {
          kind: 'etcd',
          endpoint: etcd.endpoint,
          prefix: relays.keys.calls,
          calls,
          batch,
          values: bindingValues(relays, calls),
          guard: relays.guard,
          ttlSeconds: 465,
        },
        loop: { kind: 'closed', concurrency: concurrency / batch, ...durations },
      });
    };
    const selects = () =>
      load.run({
        target: streamTarget(replica, freshCalls()),
        loop: { kind: 'closed', concurrency, ...durations },
        watch,
      });
    const rounds = context.pick(5, 1);
    const row = async (against: string, batch: number, least: number): Promise<Row> => {
      const { baseline, candidate } = await inTurn(context, rounds, () => writes(batch), selects);
      return context.measured({
        name: 'new calls, SelectStream',
        unit: '/s',
        against,
        baseline: rates(baseline),
        candidate: rates(candidate),
        aims: [{ of: 'ratio', least }],
        notes: serverNotes(candidate),
      });
    };
    return {
      rows: [
        await row('etcd3, one transaction per call', 1, 4),
        await row(`etcd3, ${nested} nested transactions per commit`, nested, 0.6),
      ],
    };
  },
};

/** New calls over unary gRPC, compared with a bare server that stores nothing. */
export const newCallsUnary: BenchCase = {
  name: 'new-unary',
  title: 'new calls, unary Select, one replica',
  async run(context) {
    const stage = await setSpeedStage(context);
    const { etcd, replica, load } = stage;
    const echo = await setEchoStage(context, stage);
    const durations = context.pick({ warmupMs: 1500, durationMs: 5000 }, { warmupMs: 300, durationMs: 500 });
    const loop = { kind: 'closed', concurrency, ...durations } as const;
    const { baseline, candidate } = await inTurn(
      context,
      context.pick(5, 1),
      () =>
        load.run({
          target: {
            ...selectTarget(replica, freshCalls()),
            ports: [echo.port],
            method: 'Echo',
            expect: undefined,
          },
          loop,
          watch: [echo.pid],
        }),
      () =>
        load.run({ target: selectTarget(replica, freshCalls()), loop, watch: [replica.pid, ...etcd.pids] }),
    );
    const row: Row = {
      name: 'new calls, unary Select',
      unit: '/s',
      against: 'bare grpc-js unary echo',
      baseline: rates(baseline),
      candidate: rates(candidate),
      aims: [{ of: 'ratio', least: 0.85 }],
      notes: {
        ...serverNotes(candidate),
        'echo CPU per call, µs': figure(median(baseline.map(cpuUsPerCall))),
      },
    };
    return { rows: [row] };
  },
};

function serverNotes(results: readonly LoadResult[]): Row['notes'] & object {
  return {
    'replica CPU per call, µs': figure(median(results.map(cpuUsPerCall))),
    'etcd CPU per call, µs': figure(median(results.map(otherCpuUsPerCall))),
    'p99, ms': figure(median(results.map(({ p99Us }) => p99Us / 1000))),
  };
}
