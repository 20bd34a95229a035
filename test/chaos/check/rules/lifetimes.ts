import type { CallEvidence, Evidence, Operation } from '../evidence.js';
import type { BindingState, LoggedBinding } from '../story.js';
import { type Violation, violation } from '../violation.js';

/** Replicas report wall-clock time in ms, and the run's clock is set once: this is how much they may differ. */
const clockToleranceMs = 250;
/** What a replica had under way when it was frozen is written by then after it goes on. */
const afterThawMs = 2000;

/**
 * Guarantee 4: etcd deletes a binding only after the expiry in its value and a TTL after the last answered use, and a
 * released binding only after the linger.
 */
export function checkLifetimes(evidence: Evidence, call: CallEvidence): Violation[] {
  const violations: Violation[] = [];
  let before: LoggedBinding | undefined;
  let releasedAfterMs = 0;
  /** By how much the wall clock that dated an expiry may have been ahead. */
  const aheadMs = new Map<number, number>();
  let begun = { afterMs: 0, byMs: 0 };
  for (const state of call.story.states) {
    const { binding, isLoss } = state;
    if (isLoss) {
      // etcd starts the leases of what it was restored with anew.
      releasedAfterMs = 0;
      begun = { afterMs: state.afterMs, byMs: state.byMs };
      before = binding;
      continue;
    }
    if (!binding && before) {
      const expiresMs = before.expiresAtMs - (aheadMs.get(before.expiresAtMs) ?? 0);
      const dueMs =
        before.state === 'released'
          ? Math.max(expiresMs, releasedAfterMs + evidence.run.lingerSeconds * 1000)
          : Math.max(expiresMs, lastUseDueMs(evidence, call, { ...before, begunWithin: begun }, state));
      const earlyMs = dueMs - state.byMs;
      if (earlyMs > clockToleranceMs) {
        violations.push(
          violation(
            'lifetime',
            call.callId,
            state.byMs,
            `revision ${state.revision}: deleted at least ${Math.round(earlyMs)} ms too early`,
          ),
        );
      }
    }
    if (binding?.state === 'released' && before?.state !== 'released') {
      // One that was frozen between taking the lease and writing, or with what a replica had sent it, wrote late what had been
      // dated before: then only the expiry in its value counts.
      releasedAfterMs = wasAnyFrozen(evidence, state) ? 0 : Math.max(0, state.afterMs);
    }
    if (binding && binding.begun !== before?.begun) {
      begun = { afterMs: state.afterMs, byMs: state.byMs };
    }
    if (binding) {
      aheadMs.set(binding.expiresAtMs, clocksAhead(evidence, state));
    }
    before = binding;
  }
  return violations;
}

/** The most that the clock of a replica was set forward when this was written, ms. */
function clocksAhead({ faults }: Evidence, { afterMs, byMs }: BindingState): number {
  const active = faults.filter(
    ({ kind, beginMs, endMs }) => kind === 'clock-step' && beginMs < byMs && endMs + afterThawMs > afterMs,
  );
  return Math.max(0, ...active.map(({ stepMs }) => stepMs));
}

/** Faults after which a replica or a member of etcd goes on with what it had under way. */
const freezing = ['replica-stop', 'leader-stop', 'follower-stop', 'leader-apart'];

/** Shortly before this was written. */
export function wasAnyFrozen(
  { faults }: Evidence,
  { afterMs, byMs }: Pick<BindingState, 'afterMs' | 'byMs'>,
): boolean {
  return faults.some(
    ({ kind, beginMs, endMs }) => freezing.includes(kind) && beginMs < byMs && endMs + afterThawMs > afterMs,
  );
}

/** Until when the answered uses of this binding had it live at least; what was before it began again is past. */
function lastUseDueMs(
  { run }: Evidence,
  { operations }: CallEvidence,
  {
    begunWithin,
    ...binding
  }: LoggedBinding & {
    readonly begunWithin: { readonly afterMs: number; readonly byMs: number };
  },
  deleted: BindingState,
): number {
  let dueMs = 0;
  for (const operation of operations) {
    const ttlSeconds = ttlOf(operation, binding, run);
    // One that began after the deletion was heard of is about another binding.
    const isOfIt = operation.invokeMs < deleted.byMs && operation.returnMs >= begunWithin.afterMs;
    // One that overlaps the beginning may have found the call as it was before.
    const isSure = operation.requestId === binding.begun || operation.invokeMs >= begunWithin.byMs;
    if (ttlSeconds > 0 && isOfIt && isSure) {
      dueMs = Math.max(dueMs, operation.invokeMs + ttlSeconds * 1000);
    }
  }
  return dueMs;
}

/** The TTL that this use gives the binding, s; 0 if none. */
function ttlOf(
  { method, outcome, answer, requestId }: Operation,
  { createdAtMs, begun }: LoggedBinding,
  { setupTtlSeconds, callTtlSeconds }: Evidence['run'],
): number {
  if (outcome !== 'ok' || (method !== 'select' && method !== 'stream')) {
    return 0;
  }
  if (answer?.freshness !== 'fresh' || answer.released || answer.createdAtMs !== createdAtMs) {
    return 0;
  }
  return requestId === begun ? setupTtlSeconds : callTtlSeconds;
}
