import type {
  CompactionRequest,
  DeleteRangeRequest,
  KVServer,
  PutRequest,
  RangeRequest,
  RequestOp,
  ResponseHeader,
  TxnRequest,
} from '../../proto/generated/etcd/rpc.js';
import type { Logger } from '../runtime/log.js';
import { deleteRange } from './delete-range.js';
import { openEmptyEnd, openEmptyEnds } from './empty-end.js';
import { leaseNotFound, requestTooLarge } from './errors.js';
import { unary } from './handlers.js';
import { checkPut, put } from './put.js';
import { range } from './range.js';
import { checkDeleteRequest, checkPutRequest, checkRangeRequest, checkTxnRequest } from './request-check.js';
import type { Sized } from './request-size.js';
import type { EtcdState } from './state.js';
import { runTxn } from './txn.js';
import { checkOverlap } from './txn-overlap.js';
import { noLease } from './version.js';

/** etcd's default for --max-request-bytes. */
const maxRequestBytes = 1.5 * 1024 * 1024;

export function kvService(state: EtcdState, log: Logger): KVServer {
  const { keyspace, leases } = state;
  const identified = <R extends { header: ResponseHeader | undefined }>(response: R): R => ({
    ...response,
    header: state.header(Number(response.header?.revision)),
  });

  return {
    range: unary(log, (request: RangeRequest) => {
      checkRangeRequest(request);
      openEmptyEnd(request);
      return identified(range(keyspace, request));
    }),

    put: unary(log, (request: Sized<PutRequest>) => {
      checkPutRequest(request);
      checkSize(request);
      state.requireSpace(request.wireBytes);
      // Alone, a put checks its lease first; inside a transaction last. Only the message differs.
      if (request.lease !== noLease && !leases.has(request.lease)) {
        throw leaseNotFound();
      }
      checkPut(keyspace, leases, request);
      return identified(keyspace.write((writer) => put(keyspace, writer, request)));
    }),

    deleteRange: unary(log, (request: Sized<DeleteRangeRequest>) => {
      checkDeleteRequest(request);
      checkSize(request);
      return identified(keyspace.write((writer) => deleteRange(keyspace, writer, request)));
    }),

    txn: unary(log, (request: Sized<TxnRequest>) => {
      checkTxnRequest(request);
      checkOverlap(request.success);
      checkOverlap(request.failure);
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

    compact: unary(log, (request: CompactionRequest) => {
      keyspace.compact(Number(request.revision));
      return { header: state.header() };
    }),
  };
}

/** Only what would go through etcd's log is limited; how much can arrive at all is the server's receive limit. */
function checkSize({ wireBytes }: Sized<object>): void {
  if (wireBytes > maxRequestBytes) {
    throw requestTooLarge();
  }
}

const allOps = ({ success, failure }: TxnRequest): RequestOp[] => [...success, ...failure];

const readsOnly = (request: TxnRequest): boolean =>
  allOps(request).every((op) => op.request?.$case === 'range');

/** A transaction that only reads and deletes must pass when space is short: it is the way out. */
function writes(request: TxnRequest): boolean {
  return allOps(request).some(
    ({ request: op }) => op?.$case === 'put' || (op?.$case === 'txn' && writes(op.value)),
  );
}
