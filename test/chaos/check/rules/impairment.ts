import { etcdFaults } from '../../plan/fault.js';
import type { Evidence, FaultSpan, Operation, Stretch } from '../evidence.js';

/**
 * A replica that cannot hear etcd notices after 8 s at the latest (its connection is probed each 6 s, and given 2 s to
 * answer); until then it may answer what it remembers, although the call was moved or its relay has left. The rest is
 * for processes that share a busy machine.
 */
export const unheardMs = 10_000;

const etcdKinds = new Set<string>(etcdFaults.filter((kind) => kind !== 'compaction'));
/** After etcd is back, a replica may take so long to find that out. */
const recoveryMs = 30_000;

/** How long before a question what it is answered may have ended: a replica that was frozen hears nothing meanwhile. */
export function unheardFor({ faults }: Evidence, { replica, invokeMs, returnMs }: Operation): number {
  let ms = unheardMs;
  for (const { kind, subject, beginMs, endMs } of faults) {
    if (
      kind === 'replica-stop' &&
      subject === replica &&
      beginMs < returnMs &&
      endMs > invokeMs - 2 * unheardMs
    ) {
      ms += Math.min(endMs, returnMs) - beginMs;
    }
  }
  return ms;
}

/** Something was wrong between the replica that was asked and etcd, or had been shortly before. */
export function impaired({ faults, slow }: Evidence, { replica, invokeMs, returnMs }: Operation): boolean {
  const isNear = ({ beginMs, endMs }: Stretch) => beginMs < returnMs && endMs + recoveryMs > invokeMs;
  const isHurt = ({ kind, subject }: FaultSpan) =>
    etcdKinds.has(kind) || subject === replica || subject.startsWith(`${replica}→`);
  return slow.some(isNear) || faults.some((fault) => isNear(fault) && isHurt(fault));
}
