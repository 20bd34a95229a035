import { type Compare, Compare_Result, Compare_Target } from '../../proto/generated/etcd/rpc.js';
import { fromWire } from './byte-string.js';
import { keyRange } from './key-range.js';
import type { Keyspace } from './keyspace.js';
import { noLease, type Version } from './version.js';

/** Whether the comparison holds for every key in its range. A missing key counts as all zeros, except for its value. */
export function holds(keyspace: Keyspace, compare: Compare): boolean {
  const found = keyspace.read(keyRange(compare.key, compare.rangeEnd));
  if (found.length > 0) {
    return found.every((version) => holdsFor(compare, version));
  }
  // A missing value is not the empty value: no comparison with it is ever true, not even NOT_EQUAL.
  return compare.target !== Compare_Target.VALUE && holdsFor(compare, undefined);
}

function holdsFor(compare: Compare, version: Version | undefined): boolean {
  const sign = difference(compare, version);
  switch (compare.result) {
    case Compare_Result.EQUAL:
      return sign === 0;
    case Compare_Result.GREATER:
      return sign > 0;
    case Compare_Result.LESS:
      return sign < 0;
    case Compare_Result.NOT_EQUAL:
      return sign !== 0;
    default:
      return true; // etcd lets an unknown result pass.
  }
}

/** Negative when the key's field is below the operand. An operand of another kind than the target counts as zero. */
function difference({ target, operand }: Compare, version: Version | undefined): number {
  switch (target) {
    case Compare_Target.VERSION:
      return (version?.version ?? 0) - (operand?.$case === 'version' ? Number(operand.value) : 0);
    case Compare_Target.CREATE:
      return (
        (version?.createRevision ?? 0) - (operand?.$case === 'createRevision' ? Number(operand.value) : 0)
      );
    case Compare_Target.MOD:
      return (version?.modRevision ?? 0) - (operand?.$case === 'modRevision' ? Number(operand.value) : 0);
    case Compare_Target.VALUE:
      return order(version?.value ?? '', operand?.$case === 'value' ? fromWire(operand.value) : '');
    case Compare_Target.LEASE:
      return order(version?.lease ?? noLease, operand?.$case === 'lease' ? operand.value : noLease);
    default:
      return 0;
  }
}

const order = <T extends string | bigint>(a: T, b: T): number => (a < b ? -1 : a > b ? 1 : 0);
