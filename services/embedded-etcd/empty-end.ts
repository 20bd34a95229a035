import type { RangeRequest, TxnRequest } from '../../proto/generated/etcd/rpc.js';

/**
 * A trap of etcd's, kept because a client must meet it here too: a `range_end` that is sent, but empty, means "no end"
 * where etcd serves the request directly. Where it replicates the request first, encoding it anew loses the empty field
 * and it means "only this key", as if it had not been sent.
 */
export function openEmptyEnd(request: Pick<RangeRequest, 'rangeEnd'>): void {
  if (request.rangeEnd?.length === 0) {
    request.rangeEnd = Buffer.of(0);
  }
}

/** For transactions that only read: etcd does not replicate those. */
export function openEmptyEnds(request: TxnRequest): void {
  for (const compare of request.compare) {
    openEmptyEnd(compare);
  }
  for (const { request: op } of [...request.success, ...request.failure]) {
    if (op?.$case === 'range') {
      openEmptyEnd(op.value);
    }
  }
}
