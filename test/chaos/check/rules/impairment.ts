import { etcdFaults } from '../../plan/fault.js';
import type { Evidence, FaultSpan, Operation, Stretch } from '../evidence.js';

/**
 * A replica detects a dead connection to etcd after at most 8 s: a probe every 6 s, and 2 s to answer it. Until then it may
 * answer from its cache, although the call was moved or its relay has left. The other 2 s are for a busy machine.
 */
export const unheardMs = 10_000;

const etcdKinds = new Set<string>(etcdFaults.filter((kind) => kind !== 'compaction'));
/** How long a replica may take to recover after etcd has. */
const recoveryMs = 30_000;

/** How outdated an answer may be: a replica that was frozen gets no updates meanwhile. */
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

/** Something was wrong between the replica and etcd, or had been shortly before. */
export function impaired({ faults, slow }: Evidence, { replica, invokeMs, returnMs }: Operation): boolean {
  const isNear = ({ beginMs, endMs }: Stretch) => beginMs < returnMs && endMs + recoveryMs > invokeMs;
  const isHurt = ({ kind, subject }: FaultSpan) =>
    etcdKinds.has(kind) || subject === replica || subject.startsWith(`${replica}→`);
  return slow.some(isNear) || faults.some((fault) => isNear(fault) && isHurt(fault));
}
