import { emptyKey, keyNotFound, leaseProvided, tooManyOps, valueProvided } from './errors.js';
import type { DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest } from './messages.js';

/** The checks that need no data: etcd makes them before a request is proposed. */

/** etcd's default for --max-txn-ops. */
export const maxTxnOps = 128;

export function checkRangeRequest(request: RangeRequest): void {
  requireKey(request.key);
}

export function checkPutRequest(request: PutRequest): void {
  requireKey(request.key);
  if (request.ignore_value && request.value?.length) {
    throw valueProvided();
  }
  if (request.ignore_lease && request.lease && !request.lease.isZero()) {
    throw leaseProvided();
  }
}

export function checkDeleteRequest(request: DeleteRangeRequest): void {
  requireKey(request.key);
}

/**
 * A level may hold as many compares, or operations of one branch, as its parent left over: the longest of the three
 * lists counts. As a level that nests has at least one operation, this bounds the depth as well.
 */
export function checkTxnRequest(request: TxnRequest, allowed = maxTxnOps): void {
  const { compare = [], success = [], failure = [] } = request;
  const longest = Math.max(compare.length, success.length, failure.length);
  if (longest > allowed) {
    throw tooManyOps();
  }
  for (const one of compare) {
    requireKey(one.key);
  }
  for (const op of success) {
    checkOp(op, allowed - longest);
  }
  for (const op of failure) {
    checkOp(op, allowed - longest);
  }
}

function checkOp(op: RequestOp, allowed: number): void {
  if (op.request_range) {
    checkRangeRequest(op.request_range);
  } else if (op.request_put) {
    checkPutRequest(op.request_put);
  } else if (op.request_delete_range) {
    checkDeleteRequest(op.request_delete_range);
  } else if (op.request_txn) {
    checkTxnRequest(op.request_txn, allowed);
  }
  // An empty operation: odd, but this is the answer that etcd gives.
  else {
    throw keyNotFound();
  }
}

function requireKey(key: Buffer | undefined): void {
  if (!key || key.length === 0) {
    throw emptyKey();
  }
}
