import { fromWire } from './byte-string.js';
import { keyRange } from './key-range.js';
import type { Keyspace } from './keyspace.js';
import type { Compare } from './messages.js';
import type { Version } from './version.js';
import { toLeaseId, toNumber } from './wire.js';

const targetValue = 3;

/** Whether the guard holds for every key in its range. A missing key counts as all zeros, except for its value. */
export function holds(keyspace: Keyspace, compare: Compare): boolean {
  const found = keyspace.read(keyRange(compare.key, compare.range_end));
  if (found.length > 0) {
    return found.every((version) => holdsFor(compare, version));
  }
  // A missing value is not the empty value: no comparison with it is ever true, not even NOT_EQUAL.
  return compare.target !== targetValue && holdsFor(compare, undefined);
}

function holdsFor(compare: Compare, version: Version | undefined): boolean {
  const sign = difference(compare, version);
  switch (compare.result ?? 0) {
    case 0:
      return sign === 0;
    case 1:
      return sign > 0;
    case 2:
      return sign < 0;
    case 3:
      return sign !== 0;
    default:
      return true; // an unknown result: etcd lets it pass
  }
}

/** Negative when the key's field is below the given one. */
function difference(compare: Compare, version: Version | undefined): number {
  switch (compare.target ?? 0) {
    case 0:
      return (version?.version ?? 0) - toNumber(compare.version);
    case 1:
      return (version?.createRevision ?? 0) - toNumber(compare.create_revision);
    case 2:
      return (version?.modRevision ?? 0) - toNumber(compare.mod_revision);
    case targetValue:
      return order(version?.value ?? '', fromWire(compare.value));
    case 4:
      return order(version?.lease ?? 0n, toLeaseId(compare.lease));
    default:
      return 0;
  }
}

const order = <T extends string | bigint>(a: T, b: T): number => (a < b ? -1 : a > b ? 1 : 0);
