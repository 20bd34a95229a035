import type {
  RangeRequest,
  RequestOp,
  ResponseOp,
  TxnRequest,
  TxnResponse,
} from '../../proto/generated/etcd/rpc.js';
import { holds } from './compare.js';
import { deleteRange } from './delete-range.js';
import { compacted, futureRevision } from './errors.js';
import type { Keyspace, Writer } from './keyspace.js';
import type { LeaseTable } from './lease-table.js';
import { checkPut, put } from './put.js';
import { range } from './range.js';
import { revisionHeader } from './wire.js';

type Operation = NonNullable<RequestOp['request']>;
type Result = NonNullable<ResponseOp['response']>;

/** A transaction with its branches chosen: the guards of all levels are evaluated before anything is written. */
interface Decided {
  readonly succeeded: boolean;
  readonly steps: readonly Step[];
}

type Step = Exclude<Operation, { $case: 'txn' }> | { $case: 'txn'; value: Decided };

/** The request has passed the checks that need no data: its depth is bounded, and no operation is empty. */
export function runTxn(keyspace: Keyspace, leases: LeaseTable, request: TxnRequest): TxnResponse {
  const decided = decide(keyspace, request);
  // All or nothing: whatever can fail is checked first, puts before ranges, as etcd does.
  everyStep(decided, (step) => step.$case === 'put' && checkPut(keyspace, leases, step.value));
  everyStep(decided, (step) => step.$case === 'range' && checkRevision(keyspace, step.value));
  const response = keyspace.write((writer) => apply(keyspace, writer, decided));
  return { ...response, header: revisionHeader(keyspace.revision) };
}

function decide(keyspace: Keyspace, request: TxnRequest): Decided {
  const succeeded = request.compare.every((compare) => holds(keyspace, compare));
  const operations = (succeeded ? request.success : request.failure).map((op) => op.request as Operation);
  const steps = operations.map(
    (op): Step => (op.$case === 'txn' ? { $case: 'txn', value: decide(keyspace, op.value) } : op),
  );
  return { succeeded, steps };
}

function everyStep(decided: Decided, check: (step: Step) => void): void {
  for (const step of decided.steps) {
    check(step);
    if (step.$case === 'txn') {
      everyStep(step.value, check);
    }
  }
}

function checkRevision(keyspace: Keyspace, request: RangeRequest): void {
  const revision = Number(request.revision);
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

function apply(keyspace: Keyspace, writer: Writer, { succeeded, steps }: Decided): TxnResponse {
  const result = (step: Step): Result => {
    switch (step.$case) {
      case 'txn':
        return { $case: 'txn', value: apply(keyspace, writer, step.value) };
      case 'put':
        return { $case: 'put', value: put(keyspace, writer, step.value) };
      case 'deleteRange':
        return { $case: 'deleteRange', value: deleteRange(keyspace, writer, step.value) };
      case 'range':
        return { $case: 'range', value: range(keyspace, step.value) };
    }
  };
  return {
    header: revisionHeader(0),
    succeeded,
    responses: steps.map((step) => ({ response: result(step) })),
  };
}
