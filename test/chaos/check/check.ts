import type { HistoryRecord, LogRecord } from '../record/records.js';
import { type CallEvidence, type Evidence, gather } from './evidence.js';
import { checkAnswers } from './rules/answers.js';
import { checkBindings } from './rules/bindings.js';
import { checkCarried } from './rules/carried.js';
import { checkLifetimes } from './rules/lifetimes.js';
import { checkOutcomes } from './rules/outcomes.js';
import { checkRecovery } from './rules/recovery.js';
import type { Violation } from './violation.js';

export interface Verdict {
  readonly evidence: Evidence;
  readonly violations: readonly Violation[];
  /** Moves in etcd's log. */
  readonly moves: number;
  /** Calls that got one relay provisionally and were then bound to another. */
  readonly conflicts: number;
}

const rules = [checkBindings, checkLifetimes, checkAnswers, checkOutcomes, checkCarried];

/** Checks a history and its watch log against the guarantees. A pure function of both. */
export function check(history: readonly HistoryRecord[], log: readonly LogRecord[]): Verdict {
  const evidence = gather(history, log);
  const calls = [...evidence.calls.values()];
  const violations = [
    ...evidence.flaws,
    ...checkRecovery(evidence),
    ...calls.flatMap((call) => rules.flatMap((rule) => rule(evidence, call))),
  ];
  return {
    evidence,
    violations: violations.sort((a, b) => a.atMs - b.atMs),
    moves: sum(calls, ({ story }) => story.spans.filter(({ binding }) => binding.generation > 1).length),
    conflicts: sum(calls, (call) => (isConflict(call) ? 1 : 0)),
  };
}

function isConflict({ operations, story }: CallEvidence): boolean {
  return operations.some(({ answer, invokeMs }) => {
    if (answer?.freshness !== 'provisional') {
      return false;
    }
    const claimed = story.spans.find(({ end }) => (end?.byMs ?? Number.POSITIVE_INFINITY) > invokeMs);
    return claimed !== undefined && claimed.binding.instance !== answer.instance;
  });
}

function sum<T>(list: readonly T[], count: (each: T) => number): number {
  return list.reduce((total, each) => total + count(each), 0);
}
