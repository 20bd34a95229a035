import type { BenchCase, Context, Row } from '../bench-case.js';
import type { Calls, LoadResult } from '../load/job.js';
import { inTurn } from '../rounds.js';
import { fillBindings, freshCalls } from '../stage/bindings.js';
import { median } from '../statistics.js';
import { figure } from '../table.js';
import {
  cpuUsPerCall,
  rates,
  type SpeedStage,
  selectTarget,
  setEchoStage,
  setSpeedStage,
  streamTarget,
} from './speed-stage.js';

const concurrency = 256;
const bound = 10_000;

/** Bound calls over unary gRPC, compared with a bare server. */
export const existingCallsUnary: BenchCase = {
  name: 'existing-unary',
  title: 'existing calls, unary Select, one replica',
  run: (context) => compare(context, 'unary'),
};

/** Bound calls over the stream. */
export const existingCallsStream: BenchCase = {
  name: 'existing-stream',
  title: 'existing calls, SelectStream, one replica',
  run: (context) => compare(context, 'stream'),
};

async function compare(context: Context, kind: 'unary' | 'stream') {
  const stage = await setSpeedStage(context);
  const { replica, load } = stage;
  const echo = await setEchoStage(context, stage);
  const calls = await boundCalls(context, stage);
  const durations = context.pick({ warmupMs: 1500, durationMs: 5000 }, { warmupMs: 300, durationMs: 500 });
  const loop = { kind: 'closed', concurrency, ...durations } as const;
  const bare = { ports: [echo.port], expect: undefined };
  const unary = selectTarget(replica, calls);
  const stream = streamTarget(replica, calls);
  const [echoes, selects] =
    kind === 'unary'
      ? [{ ...unary, ...bare, method: 'Echo' as const }, unary]
      : [{ ...stream, ...bare, method: 'EchoStream' as const }, stream];
  const { baseline, candidate } = await inTurn(
    context,
    context.pick(7, 1),
    () => load.run({ target: echoes, loop, watch: [echo.pid] }),
    () => load.run({ target: selects, loop, watch: [replica.pid] }),
  );
  const row: Row = {
    name: `existing calls, ${kind === 'unary' ? 'unary Select' : 'SelectStream'}`,
    unit: '/s',
    against: `bare grpc-js ${kind === 'unary' ? 'unary' : 'bidirectional'} echo`,
    baseline: rates(baseline),
    candidate: rates(candidate),
    aims: [{ of: 'ratio', least: kind === 'unary' ? 0.95 : 0.7 }],
    notes: cpuNotes(baseline, candidate),
  };
  return { rows: [row] };
}

/** Calls in progress that the replica has cached. */
async function boundCalls({ pick }: Context, { etcd, relays, replica, load }: SpeedStage) {
  const calls: Calls & { count: number } = { ...freshCalls(), count: pick(bound, 1000) };
  await fillBindings(load, etcd, relays, calls);
  await load.run({
    target: streamTarget(replica, calls),
    loop: { kind: 'count', concurrency, operations: calls.count },
  });
  return calls;
}

function cpuNotes(baseline: readonly LoadResult[], candidate: readonly LoadResult[]): Row['notes'] & object {
  return {
    'replica CPU per call, µs': figure(median(candidate.map(cpuUsPerCall))),
    'echo CPU per call, µs': figure(median(baseline.map(cpuUsPerCall))),
    'load generator CPU per call, µs': figure(
      median(candidate.map(({ ownCpuSeconds, calls }) => (ownCpuSeconds * 1e6) / calls)),
    ),
  };
}
