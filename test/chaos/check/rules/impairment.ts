import { etcdFaults } from '../../plan/fault.js';
import type { Evidence, FaultSpan, Operation, Stretch } from '../evidence.js';
import type { Moment } from '../story.js';

/**
 * A replica detects a dead connection to etcd after at most 8 s: a probe every 6 s, and 2 s to answer it. Until then it may
 * answer from its cache, although the call was moved or its relay has left. The other 2 s are for a busy machine.
 */
export const unheardMs = 10_000;

const etcdKinds = new Set<string>(etcdFaults.filter((kind) => kind !== 'compaction'));
/** How long a replica may take to recover after etcd has. */
const recoveryMs = 30_000;
/** How long etcd may be busy with itself after a fault. */
const settledMs = 3000;

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
export function impaired(evidence: Evidence, { replica, invokeMs, returnMs }: Operation): boolean {
  return troubles(evidence, replica).some(
    ({ beginMs, endMs }) => beginMs < returnMs && endMs + recoveryMs > invokeMs,
  );
}

/** For how long all was well between the replica and etcd from one moment to another, at least, ms. */
export function wellMs(evidence: Evidence, replica: string, fromMs: number, untilMs: number): number {
  let sum = 0;
  let reachedMs = fromMs;
  const all = [...troubles(evidence, replica), { beginMs: untilMs, endMs: untilMs }];
  for (const { beginMs, endMs } of all.sort((a, b) => a.beginMs - b.beginMs)) {
    sum += Math.max(0, Math.min(beginMs, untilMs) - reachedMs);
    reachedMs = Math.max(reachedMs, endMs + settledMs);
  }
  return sum;
}

function troubles({ faults, slow }: Evidence, replica: string): Stretch[] {
  const isHurt = ({ kind, subject }: FaultSpan) =>
    kind !== 'clock-step' &&
    (etcdKinds.has(kind) || subject === replica || subject.startsWith(`${replica}→`));
  return [...slow, ...faults.filter(isHurt)];
}

/** What may make a relay lose its calls or its registration, or keep it from being asked. */
const relayKinds = ['relay-kill', 'relay-stop', 'relay-restart', 'node-kill', 'node-stop', 'control-loss'];

/** The relay or its registration was hurt at some time between, or shortly before. */
export function wasHurt({ faults }: Evidence, relay: string, fromMs: number, untilMs: number): boolean {
  return faults.some(
    ({ kind, subject, beginMs, endMs }) =>
      (relayKinds.includes(kind) ? subject === relay : subject.startsWith(`${relay}→`)) &&
      beginMs < untilMs &&
      endMs + unheardMs > fromMs,
  );
}

const deadly = ['relay-kill', 'relay-restart', 'node-kill'];

/** The relay may have lost its calls at some time between: the built-in one ends with its relay node. */
export function hasLostCalls({ faults }: Evidence, relay: string, fromMs: number, untilMs: number): boolean {
  return faults.some(
    ({ kind, subject, beginMs, endMs }) =>
      deadly.includes(kind) && subject === relay && beginMs < untilMs && endMs + unheardMs > fromMs,
  );
}

/** etcd was wiped or restored, and what it came back with is corrected still. */
export function wasLost({ losses }: Evidence, { afterMs, byMs }: Pick<Moment, 'afterMs' | 'byMs'>): boolean {
  return losses.some((loss) => loss.byMs < byMs && afterMs < loss.byMs + recoveryMs);
}
