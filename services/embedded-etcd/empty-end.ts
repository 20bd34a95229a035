import type { RangeRequest, TxnRequest } from './messages.js';

/**
 * A trap of etcd's, kept because a client must meet it here too: a range_end that is sent, but empty, means "no end"
 * where etcd serves the request itself. Where it replicates the request first, encoding it anew loses the empty field
 * and it means "only this key", as if it had not been sent.
 */
export function openEmptyEnd(request: Pick<RangeRequest, 'range_end'>): void {
  if (request.range_end?.length === 0) {
    request.range_end = Buffer.of(0);
  }
}

/** For transactions that only read: etcd does not replicate those. */
export function openEmptyEnds(request: TxnRequest): void {
  for (const compare of request.compare ?? []) {
    openEmptyEnd(compare);
  }
  for (const branch of [request.success, request.failure]) {
    for (const { request_range: range } of branch ?? []) {
      if (range) {
        openEmptyEnd(range);
      }
    }
  }
}
