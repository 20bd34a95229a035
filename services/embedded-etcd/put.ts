import { fromWire } from './byte-string.js';
import { keyNotFound, leaseNotFound } from './errors.js';
import type { Keyspace, Writer } from './keyspace.js';
import type { LeaseTable } from './lease-table.js';
import type { PutRequest, PutResponse } from './messages.js';
import { noLease } from './version.js';
import { toKeyValue, toLeaseId } from './wire.js';

/** All that can make a put fail, asked before anything is written. */
export function checkPut(keyspace: Keyspace, leases: LeaseTable, request: PutRequest): void {
  if ((request.ignore_value || request.ignore_lease) && !keyspace.get(fromWire(request.key))) {
    throw keyNotFound();
  }
  const lease = toLeaseId(request.lease);
  if (lease !== noLease && !leases.has(lease)) {
    throw leaseNotFound();
  }
}

export function put(keyspace: Keyspace, writer: Writer, request: PutRequest): PutResponse {
  const key = fromWire(request.key);
  const previous = keyspace.get(key);
  const value = request.ignore_value ? (previous?.value ?? '') : fromWire(request.value);
  const lease = request.ignore_lease ? (previous?.lease ?? noLease) : toLeaseId(request.lease);
  writer.put(key, value, lease);
  const response: PutResponse = { header: { revision: keyspace.visibleRevision } };
  if (request.prev_kv && previous) {
    response.prev_kv = toKeyValue(previous);
  }
  return response;
}
