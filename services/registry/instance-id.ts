import { randomBytes } from 'node:crypto';
import { relayKey } from '../domain/relay.js';
import type { EtcdConnection } from '../etcd/connection.js';
import { InvalidValue } from '../etcd/invalid-value.js';
import type { Clock } from '../runtime/clock.js';
import { instanceCodec, type StartTime } from './codecs/instance.js';
import type { Keyspace } from './keyspace.js';

/**
 * How far two readings of one start may differ: up to 1 s because a relay tells its uptime in whole seconds, up to
 * 450 ms because its answer takes time, and as much again and more on a busy host (1.7 s was measured).
 */
const toleranceMs = 2500;

/** A new random instance id: 64 bits, hexadecimal. */
export function newInstanceId(): string {
  return randomBytes(8).toString('hex');
}

/** @param startedAtMs by the monotonic clock */
export function startTime(clock: Clock, bootId: string, startedAtMs: number): StartTime {
  const wallMs = clock.wallMs() - (clock.monotonicMs() - startedAtMs);
  return { wallMs: Math.round(wallMs), sinceBootMs: Math.round(startedAtMs), bootId };
}

/**
 * Whether two readings are of one life of a media process. A step of the wall clock changes one of the two times and a
 * restart changes both, so one that agrees is enough. Which one a step changes depends on the relay: the built-in one
 * counts its uptime by the monotonic clock, while rtpengine's uptime follows the wall clock, steps included.
 */
export function isSameLife(a: StartTime, b: StartTime): boolean {
  const isSameBoot = a.bootId !== '' && a.bootId === b.bootId;
  return (isSameBoot && isNear(a.sinceBootMs, b.sinceBootMs)) || isNear(a.wallMs, b.wallMs);
}

function isNear(aMs: number, bMs: number): boolean {
  return Math.abs(aMs - bMs) <= toleranceMs;
}

export interface InstanceDeps {
  readonly connection: EtcdConnection;
  readonly keys: Keyspace;
}

/**
 * The instance of a media process that started then: the one that its relay node saw last, if that is the same life,
 * else a new one. So a relay node can restart beside a media process that goes on, and no call moves.
 * @param recall asks the process, given the instance that was seen last, where its start says nothing
 * @throws what etcd answered, or `recall` threw
 */
export async function resolveInstance(
  { connection, keys }: InstanceDeps,
  { set, id }: { readonly set: string; readonly id: string },
  start: StartTime,
  recall?: (known: string | undefined) => Promise<string>,
): Promise<string> {
  const [kv] = (await connection.range({ key: keys.instance(set, id) })).kvs;
  const decoded = kv && instanceCodec.decode(relayKey(set, id), kv.value);
  const known = decoded instanceof InvalidValue ? undefined : decoded;
  if (recall) {
    return recall(known?.instance);
  }
  return known && isSameLife(known.start, start) ? known.instance : newInstanceId();
}
