import type { FaultSpan, Promised } from './history.js';

const ranks: Readonly<Record<Promised, number>> = { nothing: 0, answered: 1, fresh: 2 };

/**
 * The least that is promised to a caller of that replica, all the time between the two moments. Faults of relays concern all
 * replicas; those of another replica do not concern this one.
 */
export function promisedTo(
  faults: readonly FaultSpan[],
  replica: string,
  fromMs: number,
  untilMs: number,
): Promised {
  let least: Promised = 'fresh';
  for (const { touches, beginMs, endMs, promised, graceMs } of faults) {
    const isOfAnother = touches.every((name) => name.startsWith('replica') && name !== replica);
    if (isOfAnother || beginMs > untilMs || endMs + graceMs < fromMs) {
      continue;
    }
    // Whoever has to find out that something has changed may fail until then.
    const isSteady =
      beginMs + graceMs < fromMs && untilMs < endMs && !hasStarted(faults, replica, beginMs, untilMs);
    const now: Promised = isSteady ? promised : 'nothing';
    if (ranks[now] < ranks[least]) {
      least = now;
    }
  }
  return least;
}

/** A replica that starts while etcd is away has read nothing, and is not ready. */
function hasStarted(faults: readonly FaultSpan[], replica: string, fromMs: number, untilMs: number): boolean {
  return faults.some(
    ({ kind, endMs }) => kind === `replica-kill ${replica}` && endMs >= fromMs && endMs <= untilMs,
  );
}

/** True if calls of that relay might be moved at some time between. */
export function mayLoseCalls(
  faults: readonly FaultSpan[],
  relay: string,
  fromMs: number,
  untilMs: number,
): boolean {
  return faults.some(
    ({ touches, excusesMoves, beginMs, endMs, graceMs }) =>
      excusesMoves && touches.includes(relay) && beginMs <= untilMs && endMs + graceMs >= fromMs,
  );
}

export function isQuiet(faults: readonly FaultSpan[], fromMs: number, untilMs: number): boolean {
  return !faults.some(({ beginMs, endMs, graceMs }) => beginMs <= untilMs && endMs + graceMs >= fromMs);
}

/** True if the wall clock of any replica was wrong at some time between: what it wrote then was dated wrongly. */
export function isClockSet(faults: readonly FaultSpan[], fromMs: number, untilMs: number): boolean {
  return faults.some(
    ({ kind, beginMs, endMs }) =>
      kind.startsWith('clock-step replica') && beginMs <= untilMs && endMs >= fromMs,
  );
}

/**
 * True if that replica might have been without etcd at some time between, whatever the reason: then it knows only the calls that
 * it remembers.
 */
export function mayLackEtcd(
  faults: readonly FaultSpan[],
  replica: string,
  fromMs: number,
  untilMs: number,
): boolean {
  return faults.some(
    ({ touches, beginMs, endMs, graceMs }) =>
      (touches.includes('etcd') || touches.includes(replica)) &&
      beginMs <= untilMs &&
      endMs + graceMs >= fromMs,
  );
}

/** The same of any replica. */
export function mayLackEtcdAnywhere(faults: readonly FaultSpan[], fromMs: number, untilMs: number): boolean {
  return faults.some(
    ({ touches, beginMs, endMs, graceMs }) =>
      touches.some((name) => name === 'etcd' || name.startsWith('replica')) &&
      beginMs <= untilMs &&
      endMs + graceMs >= fromMs,
  );
}

/**
 * True if that replica might have been without etcd from that time until it was killed: what it promised meanwhile died with it.
 * Also of one that was dead at that time.
 */
export function diedWithoutEtcd(faults: readonly FaultSpan[], replica: string, fromMs: number): boolean {
  const kill = faults.find(({ kind, endMs }) => kind === `replica-kill ${replica}` && endMs >= fromMs);
  if (!kill) {
    return false;
  }
  let lackedUntilMs = fromMs;
  for (const { touches, beginMs, endMs, graceMs } of [...faults].sort((a, b) => a.beginMs - b.beginMs)) {
    const isOfEtcd = (touches.includes('etcd') || touches.includes(replica)) && beginMs < kill.beginMs;
    if (isOfEtcd && beginMs <= lackedUntilMs) {
      lackedUntilMs = Math.max(lackedUntilMs, endMs + graceMs);
    }
  }
  return lackedUntilMs >= kill.beginMs;
}
