import type { PutRequest, PutResponse } from '../../proto/generated/etcd/rpc.js';
import { fromWire } from './byte-string.js';
import { keyNotFound, leaseNotFound } from './errors.js';
import type { Keyspace, Writer } from './keyspace.js';
import type { LeaseTable } from './lease-table.js';
import { noLease } from './version.js';
import { revisionHeader, toKeyValue } from './wire.js';

/** Everything that can make a put fail, checked before anything is written. */
export function checkPut(keyspace: Keyspace, leases: LeaseTable, request: PutRequest): void {
  if ((request.ignoreValue || request.ignoreLease) && !keyspace.get(fromWire(request.key))) {
    throw keyNotFound();
  }
  if (request.lease !== noLease && !leases.has(request.lease)) {
    throw leaseNotFound();
  }
}

export function put(keyspace: Keyspace, writer: Writer, request: PutRequest): PutResponse {
  const key = fromWire(request.key);
  const previous = keyspace.get(key);
  const value = request.ignoreValue ? (previous?.value ?? '') : fromWire(request.value);
  const lease = request.ignoreLease ? (previous?.lease ?? noLease) : request.lease;
  writer.put(key, value, lease);
  return {
    header: revisionHeader(keyspace.visibleRevision),
    prevKv: request.prevKv && previous ? toKeyValue(previous) : undefined,
  };
}
