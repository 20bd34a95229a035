import { randomBytes } from 'node:crypto';
import type { EtcdConnection } from '../etcd/connection.js';
import { decodeInstance, type InstanceRecord } from './codecs.js';
import type { Keyspace } from './keyspace.js';

/** Start times of one life are told in whole seconds and measured over a network: they agree within this. */
const sameLifeMs = 2500;

/** A new random instance id: 64 bits, hexadecimal. */
export function newInstanceId(): string {
  return randomBytes(8).toString('hex');
}

/**
 * Which instance a media process is that says it started at `startedAtMs`: the one that this relay's node last saw if
 * it started then, else a new one. So a relay node can restart beside a media process that goes on, and no call moves.
 * @throws what etcd answered
 */
export async function resolveInstance(
  connection: EtcdConnection,
  keys: Keyspace,
  { set, id }: { readonly set: string; readonly id: string },
  startedAtMs: number,
): Promise<InstanceRecord> {
  const [known] = (await connection.range({ key: keys.instance(set, id) })).kvs;
  const life = known && decodeInstance(known.value);
  if (life && Math.abs(life.startedAtMs - startedAtMs) <= sameLifeMs) {
    return life;
  }
  return { instance: newInstanceId(), startedAtMs };
}
