import { holds } from './compare.js';
import { deleteRange } from './delete-range.js';
import { compacted, futureRevision } from './errors.js';
import type { Keyspace, Writer } from './keyspace.js';
import type { LeaseTable } from './lease-table.js';
import type { RangeRequest, RequestOp, ResponseOp, TxnRequest, TxnResponse } from './messages.js';
import { checkPut, put } from './put.js';
import { range } from './range.js';
import { toNumber } from './wire.js';

/** A transaction with its branches chosen: the guards of all levels are asked before anything is written. */
interface Decided {
  readonly succeeded: boolean;
  readonly steps: readonly { readonly op: RequestOp; readonly nested: Decided | undefined }[];
}

/** The request has passed the checks that need no data: its depth is bounded. */
export function runTxn(keyspace: Keyspace, leases: LeaseTable, request: TxnRequest): TxnResponse {
  const decided = decide(keyspace, request);
  // All or nothing: whatever can fail is asked first, puts before ranges, as etcd does.
  everyOp(decided, ({ request_put }) => request_put && checkPut(keyspace, leases, request_put));
  everyOp(decided, ({ request_range }) => request_range && checkRevision(keyspace, request_range));
  const response = keyspace.write((writer) => apply(keyspace, writer, decided));
  response.header.revision = keyspace.revision;
  return response;
}

function decide(keyspace: Keyspace, request: TxnRequest): Decided {
  const succeeded = (request.compare ?? []).every((compare) => holds(keyspace, compare));
  const ops = (succeeded ? request.success : request.failure) ?? [];
  const steps = ops.map((op) => ({ op, nested: op.request_txn && decide(keyspace, op.request_txn) }));
  return { succeeded, steps };
}

function everyOp(decided: Decided, check: (op: RequestOp) => void): void {
  for (const { op, nested } of decided.steps) {
    check(op);
    if (nested) {
      everyOp(nested, check);
    }
  }
}

function checkRevision(keyspace: Keyspace, request: RangeRequest): void {
  const revision = toNumber(request.revision);
  if (revision === 0) {
    return;
  }
  if (revision > keyspace.revision) {
    throw futureRevision();
  }
  if (revision < keyspace.compactRevision) {
    throw compacted();
  }
}

function apply(keyspace: Keyspace, writer: Writer, decided: Decided): TxnResponse {
  const responses = decided.steps.map(({ op, nested }): ResponseOp => {
    if (nested) {
      return { response_txn: apply(keyspace, writer, nested) };
    }
    if (op.request_put) {
      return { response_put: put(keyspace, writer, op.request_put) };
    }
    if (op.request_delete_range) {
      return { response_delete_range: deleteRange(keyspace, writer, op.request_delete_range) };
    }
    return { response_range: range(keyspace, op.request_range ?? {}) };
  });
  return { header: {}, succeeded: decided.succeeded, responses };
}
