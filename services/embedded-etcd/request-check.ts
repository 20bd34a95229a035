import type {
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  TxnRequest,
} from '../../proto/generated/etcd/rpc.js';
import { emptyKey, keyNotFound, leaseProvided, tooManyOps, valueProvided } from './errors.js';
import { noLease } from './version.js';

/** The checks that need no data: etcd makes them before a request is proposed. */

/** etcd's default for --max-txn-ops. */
export const maxTxnOps = 128;

export function checkRangeRequest(request: RangeRequest): void {
  requireKey(request.key);
}

export function checkPutRequest(request: PutRequest): void {
  requireKey(request.key);
  if (request.ignoreValue && request.value.length > 0) {
    throw valueProvided();
  }
  if (request.ignoreLease && request.lease !== noLease) {
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
export function checkTxnRequest({ compare, success, failure }: TxnRequest, allowed = maxTxnOps): void {
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

function checkOp({ request }: RequestOp, allowed: number): void {
  switch (request?.$case) {
    case 'range':
      checkRangeRequest(request.value);
      break;
    case 'put':
      checkPutRequest(request.value);
      break;
    case 'deleteRange':
      checkDeleteRequest(request.value);
      break;
    case 'txn':
      checkTxnRequest(request.value, allowed);
      break;
    default:
      // An empty operation: odd, but this is the answer that etcd gives.
      throw keyNotFound();
  }
}

function requireKey(key: Buffer): void {
  if (key.length === 0) {
    throw emptyKey();
  }
}
