import type { Context } from '../bench-case.js';
import { LoadGenerator } from '../load/generator.js';
import type { Calls, LoadResult, Loop, Target } from '../load/job.js';
import { freshCalls } from '../stage/bindings.js';
import { type EchoServer, startEcho } from '../stage/echo.js';
import { type Etcd, startEtcd } from '../stage/etcd.js';
import { RegisteredRelays } from '../stage/relays.js';
import { type Replica, type ReplicaOptions, startReplica } from '../stage/replica.js';

/** The setup of most cases: etcd, some relays, one replica, and the load generator. */
export interface SpeedStage {
  readonly etcd: Etcd;
  readonly relays: RegisteredRelays;
  readonly replica: Replica;
  readonly load: LoadGenerator;
}

export interface StageOptions extends ReplicaOptions {
  readonly relayCount?: number;
  /** Number of etcd members. */
  readonly memberCount?: number;
}

export async function setSpeedStage(
  { scope }: Context,
  { relayCount = 3, memberCount = 1, ...options }: StageOptions = {},
): Promise<SpeedStage> {
  const etcd = await startEtcd(scope, memberCount);
  const relays = await RegisteredRelays.register(scope, etcd, relayCount);
  const replica = await startReplica(scope, etcd, options);
  return { etcd, relays, replica, load: LoadGenerator.start(scope) };
}

/**
 * Sends the replica calls until V8 has compiled its code, which would dominate a measurement at a low rate. The cold start is
 * a case of its own.
 */
export async function warmUp({ pick }: Context, { replica, load }: SpeedStage): Promise<void> {
  await load.run({
    target: selectTarget(replica, freshCalls()),
    loop: { kind: 'count', concurrency: 64, operations: pick(30_000, 100) },
  });
}

/** A bare echo server whose messages are as long as the replica's. */
export async function setEchoStage({ scope }: Context, { load, replica }: SpeedStage): Promise<EchoServer> {
  const once: Loop = { kind: 'count', concurrency: 1, operations: 1 };
  const unary = await load.run({ target: selectTarget(replica, freshCalls()), loop: once });
  const stream = await load.run({ target: streamTarget(replica, freshCalls()), loop: once });
  return startEcho(scope, { unaryBytes: unary.answerBytes, streamBytes: stream.answerBytes });
}

export function selectTarget(
  replica: Pick<Replica, 'grpcPort'>,
  calls: Calls,
  connections = 4,
): Extract<Target, { kind: 'unary' }> {
  return {
    kind: 'unary',
    ports: [replica.grpcPort],
    method: 'Select',
    connections,
    calls,
    expect: { origin: calls.count === undefined ? 'new' : 'existing' },
  };
}

export function streamTarget(
  replica: Pick<Replica, 'grpcPort'>,
  calls: Calls,
  connections = 4,
): Extract<Target, { kind: 'stream' }> {
  return {
    kind: 'stream',
    ports: [replica.grpcPort],
    method: 'SelectStream',
    connections,
    calls,
    expect: { origin: calls.count === undefined ? 'new' : 'existing' },
  };
}

/** CPU time of the first watched process for each call, µs. */
export function cpuUsPerCall({ cpuSeconds, calls }: LoadResult): number {
  return ((cpuSeconds[0] ?? 0) * 1e6) / calls;
}

/** CPU time of all other watched processes for each call, µs. */
export function otherCpuUsPerCall({ cpuSeconds: [, ...others], calls }: LoadResult): number {
  return (others.reduce((sum, each) => sum + each, 0) * 1e6) / calls;
}

export const rates = (results: readonly LoadResult[]) => results.map(({ perSecond }) => perSecond);
export const p50s = (results: readonly LoadResult[]) => results.map(({ p50Us }) => p50Us);
