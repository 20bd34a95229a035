import type { DeleteRangeRequest, RequestOp } from '../../proto/generated/etcd/rpc.js';
import { type ByteString, fromWire } from './byte-string.js';
import { duplicateKey } from './errors.js';
import { KeyRangeSet } from './key-range-set.js';

/** The keys that one level of a transaction writes. */
interface Touched {
  readonly puts: Set<ByteString>;
  readonly deletes: KeyRangeSet;
}

/**
 * One transaction must not put a key twice, or put and delete it. The two branches of a nested transaction exclude each
 * other and can share keys. Puts of nested transactions are checked against the deletes of this level and of earlier
 * siblings only: etcd lets a later sibling delete what an earlier one put.
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
 * In this check alone, etcd does not treat the end '\0' as "no end": like any end that is not above the key, it makes an
 * empty range, and such a deletion collides with nothing.
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
