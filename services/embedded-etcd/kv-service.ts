import type { UntypedServiceImplementation } from '@grpc/grpc-js';
import type { Logger } from '../runtime/log.js';
import { deleteRange } from './delete-range.js';
import { openEmptyEnd, openEmptyEnds } from './empty-end.js';
import { leaseNotFound, requestTooLarge } from './errors.js';
import { unary } from './handlers.js';
import type {
  CompactionRequest,
  DeleteRangeRequest,
  PutRequest,
  RangeRequest,
  RequestOp,
  ResponseHeader,
  Sized,
  TxnRequest,
} from './messages.js';
import { checkPut, put } from './put.js';
import { range } from './range.js';
import { checkDeleteRequest, checkPutRequest, checkRangeRequest, checkTxnRequest } from './request-check.js';
import type { EtcdState } from './state.js';
import { runTxn } from './txn.js';
import { checkOverlap } from './txn-overlap.js';
import { noLease } from './version.js';
import { toLeaseId, toNumber } from './wire.js';

/** etcd's default for --max-request-bytes. */
const maxRequestBytes = 1.5 * 1024 * 1024;

export function kvService(state: EtcdState, log: Logger): UntypedServiceImplementation {
  const { keyspace, leases } = state;
  const identified = <R extends { header: ResponseHeader }>(response: R): R => {
    response.header = state.header(response.header.revision);
    return response;
  };

  return {
    Range: unary(log, (request: RangeRequest) => {
      checkRangeRequest(request);
      openEmptyEnd(request);
      return identified(range(keyspace, request));
    }),

    Put: unary(log, (request: PutRequest & Sized) => {
      checkPutRequest(request);
      checkSize(request);
      state.requireSpace(request.wireBytes);
      const lease = toLeaseId(request.lease);
      // Alone, a put is asked for its lease first; inside a transaction last. Only the message differs.
      if (lease !== noLease && !leases.has(lease)) {
        throw leaseNotFound();
      }
      checkPut(keyspace, leases, request);
      const response = keyspace.write((writer) => put(keyspace, writer, request));
      return identified(response);
    }),

    DeleteRange: unary(log, (request: DeleteRangeRequest & Sized) => {
      checkDeleteRequest(request);
      checkSize(request);
      return identified(keyspace.write((writer) => deleteRange(keyspace, writer, request)));
    }),

    Txn: unary(log, (request: TxnRequest & Sized) => {
      checkTxnRequest(request);
      checkOverlap(request.success ?? []);
      checkOverlap(request.failure ?? []);
      if (readsOnly(request)) {
        openEmptyEnds(request);
      } else {
        checkSize(request);
      }
      if (writes(request)) {
        state.requireSpace(request.wireBytes);
      }
      return identified(runTxn(keyspace, leases, request));
    }),

    Compact: unary(log, (request: CompactionRequest) => {
      keyspace.compact(toNumber(request.revision));
      return { header: state.header() };
    }),
  };
}

/** Only what would go through etcd's log is limited; how much may arrive at all is the server's receive limit. */
function checkSize(request: Sized): void {
  if (request.wireBytes > maxRequestBytes) {
    throw requestTooLarge();
  }
}

const allOps = (request: TxnRequest): RequestOp[] => [...(request.success ?? []), ...(request.failure ?? [])];

const readsOnly = (request: TxnRequest): boolean =>
  allOps(request).every((op) => op.request_range !== undefined);

/** A transaction that only reads and deletes must pass when space is short: it is the way out. */
function writes(request: TxnRequest): boolean {
  return allOps(request).some((op) => op.request_put || (op.request_txn && writes(op.request_txn)));
}
