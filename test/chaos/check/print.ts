import type { Verdict } from './check.js';
import type { CallEvidence, Evidence, Operation } from './evidence.js';
import type { Moment, Span } from './story.js';

const maxLines = 60;
/** What follows a violation tells whether, and when, it was put right. */
const afterMs = 2000;

/** What `failures` tells of the call that has the fewest records. */
export function shortestFailure(verdict: Verdict): string {
  const [shortest = ''] = failures(verdict);
  return shortest;
}

/** The records of each call, up to its last violation, and what that is; the call with the fewest first. */
export function failures({ violations, evidence }: Verdict): string[] {
  const length = (callId: string) => {
    const call = evidence.calls.get(callId);
    return call ? call.operations.length + call.story.states.length : Number.POSITIVE_INFINITY;
  };
  const callIds = [...new Set(violations.map(({ callId }) => callId))];
  return callIds
    .sort((a, b) => length(a) - length(b))
    .map((callId) => {
      const call = evidence.calls.get(callId);
      const of = violations.filter((violation) => violation.callId === callId);
      const untilMs = Math.max(...of.map(({ atMs }) => atMs)) + afterMs;
      const found = of.map(
        ({ check, atMs, message }) => `${check}, ${sinceBegin(evidence, atMs)} s: ${message}`,
      );
      // At the end, which is all that some readers of a long log see.
      return [callId || 'the log', ...(call ? historyOf(evidence, call, untilMs) : []), ...found].join(
        '\n  ',
      );
    });
}

interface Line {
  readonly atMs: number;
  readonly text: string;
}

function historyOf(evidence: Evidence, call: CallEvidence, untilMs: number): string[] {
  const lines = [
    ...call.operations.flatMap(linesOfOperation),
    ...call.story.states.map(
      (state): Line => ({ atMs: state.byMs, text: `etcd ${moment(state)} ${stateText(state.binding)}` }),
    ),
    ...registrationLines(evidence, call),
    ...faultLines(evidence, call),
  ]
    .filter(({ atMs }) => atMs <= untilMs)
    .sort((a, b) => a.atMs - b.atMs);
  const shown = lines
    .slice(-maxLines)
    .map(({ atMs, text }) => `${sinceBegin(evidence, atMs).padStart(9)} ${text}`);
  return lines.length > maxLines ? [`… ${lines.length - maxLines} lines before`, ...shown] : shown;
}

function linesOfOperation(operation: Operation): Line[] {
  const { op, method, replica, life, requestId, generation, invokeMs, returnMs } = operation;
  const about = [requestId, generation && `generation ${generation}`].filter(Boolean).join(' ');
  return [
    { atMs: invokeMs, text: `#${op} ${replica}.${life} ${method} ${about}` },
    ...(Number.isFinite(returnMs) ? [{ atMs: returnMs, text: `#${op} → ${outcomeText(operation)}` }] : []),
  ];
}

function outcomeText({ outcome, answer, found, reason, mediaRelay }: Operation): string {
  if (answer) {
    return [
      `${answer.relay}/${answer.instance.slice(0, 6)}/${answer.generation}`,
      answer.origin,
      answer.freshness,
      answer.released ? 'released' : '',
    ].join(' ');
  }
  return [outcome, found ?? '', mediaRelay ?? '', reason ?? ''].join(' ');
}

function stateText(binding: Span['binding'] | undefined): string {
  if (!binding) {
    return 'deleted';
  }
  const { relay, instance, generation, request, state } = binding;
  return `${relay}/${instance.slice(0, 6)}/${generation} by ${request} ${state}`;
}

function moment({ revision, afterMs, byMs }: Moment): string {
  return `@${revision} (within ${Math.round(byMs - afterMs)} ms)`;
}

/** The registrations of the relays that carried the call, during the call. */
function registrationLines({ registrations }: Evidence, { story, operations }: CallEvidence): Line[] {
  const names = new Set(story.spans.map(({ binding }) => `${binding.set}/${binding.relay}`));
  const fromMs = (operations[0]?.invokeMs ?? 0) - 5000;
  return [...names].flatMap((name) =>
    (registrations.get(name) ?? [])
      .filter(({ byMs }) => byMs > fromMs)
      .map((each) => ({
        atMs: each.byMs,
        text: `etcd ${moment(each)} ${name} ${each.instance ? `is ${each.instance.slice(0, 6)}` : 'is gone'}`,
      })),
  );
}

function faultLines({ faults }: Evidence, { operations }: CallEvidence): Line[] {
  const fromMs = (operations[0]?.invokeMs ?? 0) - 10_000;
  const untilMs = Math.max(...operations.map(({ invokeMs }) => invokeMs)) + 1000;
  return faults
    .filter(({ beginMs, endMs }) => endMs > fromMs && beginMs < untilMs)
    .flatMap(({ kind, subject, beginMs, endMs }) => [
      { atMs: beginMs, text: `fault ${kind} ${subject}` },
      ...(Number.isFinite(endMs) ? [{ atMs: endMs, text: `healed ${kind} ${subject}` }] : []),
    ]);
}

/** In seconds. */
function sinceBegin({ run }: Evidence, atMs: number): string {
  return ((atMs - run.atMs) / 1000).toFixed(3);
}
