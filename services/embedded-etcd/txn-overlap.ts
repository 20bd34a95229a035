import type { DeleteRangeRequest, RequestOp } from '../../proto/generated/etcd/rpc.js';
import { type ByteString, fromWire } from './byte-string.js';
import { duplicateKey } from './errors.js';
import { KeyRangeSet } from './key-range-set.js';

/** What a level hands to the one around it. */
interface Touched {
  readonly puts: Set<ByteString>;
  readonly deletes: KeyRangeSet;
}

/**
 * No key may be put twice, or put and deleted, by one transaction; the two branches of a nested transaction exclude
 * each other and may share keys. Puts of nested transactions are held against the deletes of this level and of the
 * siblings before them only: that a later sibling may delete what an earlier one put is etcd's own gap.
 */
export function checkOverlap(ops: readonly RequestOp[]): Touched {
  const deletes = new KeyRangeSet();
  for (const { request } of ops) {
    if (request?.$case === 'deleteRange') {
      addDelete(deletes, request.value);
    }
  }
  const puts = new Set<ByteString>();
  for (const { request } of ops) {
    if (request?.$case !== 'txn') {
      continue;
    }
    const success = checkOverlap(request.value.success);
    const failure = checkOverlap(request.value.failure);
    for (const key of success.puts) {
      if (puts.has(key) || deletes.has(key)) {
        throw duplicateKey();
      }
      puts.add(key);
    }
    for (const key of failure.puts) {
      if ((puts.has(key) && !success.puts.has(key)) || deletes.has(key)) {
        throw duplicateKey();
      }
      puts.add(key);
    }
    deletes.addAll(success.deletes);
    deletes.addAll(failure.deletes);
  }
  for (const { request } of ops) {
    if (request?.$case !== 'put') {
      continue;
    }
    const key = fromWire(request.value.key);
    if (puts.has(key) || deletes.has(key)) {
      throw duplicateKey();
    }
    puts.add(key);
  }
  return { puts, deletes };
}

/**
 * This one check of etcd's does not know that the end '\0' means "no end": like any end that is not above the key, it
 * makes an empty range, and such a deletion collides with nothing.
 */
function addDelete(deletes: KeyRangeSet, request: DeleteRangeRequest): void {
  const from = fromWire(request.key);
  const end = fromWire(request.rangeEnd);
  if (end === '') {
    deletes.add(from, `${from}\0`);
  } else if (end > from) {
    deletes.add(from, end);
  }
}
