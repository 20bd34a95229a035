import {
  type Event,
  Event_Type,
  type KeyValue,
  type ResponseHeader,
} from '../../proto/generated/etcd/rpc.js';
import { toWire } from './byte-string.js';
import { isTombstone, noLease, type Version } from './version.js';

const empty = Buffer.alloc(0);

/** The header of a result inside a transaction, which names no member. */
export const revisionHeader = (revision: number): ResponseHeader => ({
  clusterId: 0n,
  memberId: 0n,
  revision: BigInt(revision),
  raftTerm: 0n,
});

export const toKeyValue = (version: Version, withValue = true): KeyValue => ({
  key: toWire(version.key),
  createRevision: BigInt(version.createRevision),
  modRevision: BigInt(version.modRevision),
  version: BigInt(version.version),
  value: withValue ? toWire(version.value) : empty,
  lease: version.lease,
});

export function toEvent(version: Version, withPrevious: boolean): Event {
  const previous = withPrevious && version.older && !isTombstone(version.older) ? version.older : undefined;
  return {
    type: isTombstone(version) ? Event_Type.DELETE : Event_Type.PUT,
    kv: isTombstone(version) ? deletedKey(version) : toKeyValue(version),
    prevKv: previous && toKeyValue(previous),
  };
}

const deletedKey = ({ key, modRevision }: Version): KeyValue => ({
  key: toWire(key),
  createRevision: 0n,
  modRevision: BigInt(modRevision),
  version: 0n,
  value: empty,
  lease: noLease,
});
