import type { CallEvidence, Evidence, Operation } from '../evidence.js';
import { isSameGeneration, type Span } from '../story.js';
import { type Violation, violation } from '../violation.js';
import { impaired, unheardMs, wasLost } from './impairment.js';

/** Guarantee 5: what was acknowledged is in etcd, a retried request is there once, and refusals were right. */
export function checkOutcomes(evidence: Evidence, call: CallEvidence): Violation[] {
  const { spans } = call.story;
  const violations = checkRepeated(evidence, call);
  for (const operation of call.operations) {
    const say = (check: Violation['check'], message: string) =>
      violation(check, call.callId, operation.returnMs, `operation ${operation.op}: ${message}`);
    const { method, outcome, reason = '' } = operation;
    if (outcome === 'ok' && method === 'move') {
      violations.push(...checkMoved(operation, spans, say));
    }
    if (outcome === 'ok' && (method === 'select' || method === 'stream')) {
      violations.push(...checkOrigin(operation, spans, say));
    }
    if (outcome === 'ok' && method === 'release' && operation.found) {
      violations.push(...checkReleased(evidence, operation, call, say));
    }
    const missed = reason.startsWith('NOT_FOUND') || (method === 'release' && operation.found === false);
    if (missed && lives(call).some((life) => coversSurely(life, operation))) {
      violations.push(say('bound is found', '"not found", although the call was bound all the time'));
    }
    if (outcome === 'refused' && method === 'move' && reason.startsWith('FAILED_PRECONDITION')) {
      violations.push(...checkRefused(operation, spans, say));
    }
  }
  return violations;
}

type Say = (check: Violation['check'], message: string) => Violation;

/** A request binds once, however often it is sent; a Move moves once. */
function checkRepeated(evidence: Evidence, { callId, operations, story }: CallEvidence): Violation[] {
  const violations: Violation[] = [];
  const asked = new Set(operations.map(({ requestId }) => requestId));
  const made = new Map<string, Span>();
  for (const span of story.spans) {
    const { binding, begin } = span;
    const { request, generation } = binding;
    const isMove = operations.some(({ method, requestId }) => method === 'move' && requestId === request);
    // A request that binds a call can move it too, when the relay that it chose dies.
    const isSaidAgain = story.spans.some((each) => isBefore(each, span));
    if (begin.isLoss || isSaidAgain || !asked.has(request) || (generation > 1 && !isMove)) {
      continue;
    }
    const first = made.get(request);
    // What etcd has lost is written again, or made anew.
    if (first && evidence.losses.some(({ revision }) => liesBetween(revision, first, span))) {
      made.set(request, span);
      continue;
    }
    // A replica that was without etcd binds what it has promised, once it has etcd again: what the same request has got from
    // another replica may have run out by then.
    const isPromise =
      first?.endedBy === 'deletion' &&
      operations.some((operation) => operation.requestId === request && mayPromise(operation));
    if (first && !isPromise) {
      violations.push(
        violation(
          'retries converge',
          callId,
          begin.byMs,
          `revision ${begin.revision}: ${request} is done again`,
        ),
      );
    }
    made.set(request, span);
  }
  return violations;
}

/** The same was written before. */
function isBefore(one: Span, other: Span): boolean {
  return one.begin.revision < other.begin.revision && isSameGeneration(one.binding, other.binding);
}

function liesBetween(revision: number, one: Span, other: Span): boolean {
  return one.begin.revision < revision && revision <= other.begin.revision;
}

/** It may have been answered provisionally: its caller need not have heard it, and the replies of gateways do not say. */
export function mayPromise({ method, answer, outcome }: Operation): boolean {
  return (
    answer?.freshness === 'provisional' || outcome === 'unknown' || method === 'offer' || method === 'answer'
  );
}

function checkMoved(
  { answer, generation = 0, requestId }: Operation,
  spans: readonly Span[],
  say: Say,
): Violation[] {
  const isDone = spans.some(
    ({ binding }) => binding.generation === generation + 1 && binding.request === requestId,
  );
  if (isDone && answer?.generation === generation + 1) {
    return [];
  }
  return [
    say('acknowledged is done', `a move from generation ${generation} is acknowledged but not in etcd`),
  ];
}

/** NEW is told to the request that made the binding, or began the call again, and to nobody else. */
function checkOrigin({ answer, requestId }: Operation, spans: readonly Span[], say: Say): Violation[] {
  if (answer?.freshness !== 'fresh' || answer.generation !== 1) {
    return [];
  }
  // What etcd has lost may be written again: then there are several.
  const same = spans.filter(
    ({ binding }) => binding.generation === 1 && binding.createdAtMs === answer.createdAtMs,
  );
  if (same.length === 0) {
    return [];
  }
  const requests = new Set(same.flatMap((span) => [...span.requests]));
  const isMaker = requestId !== undefined && requests.has(requestId);
  // Of several beginnings, a request may have found the one of another.
  const isRight = answer.origin === 'new' ? isMaker : !isMaker || requests.size > 1;
  if (isRight) {
    return [];
  }
  const makers = [...requests].join(', ');
  return [say('retries converge', `origin ${answer.origin}, where ${makers} made the binding`)];
}

/** The binding was released or gone at some moment between request and answer. */
function checkReleased(evidence: Evidence, operation: Operation, call: CallEvidence, say: Say): Violation[] {
  const { states } = call.story;
  const isDone = states.some(
    ({ binding, afterMs }, i) =>
      (!binding || binding.state === 'released') &&
      afterMs <= operation.returnMs &&
      (states[i + 1]?.byMs ?? Number.POSITIVE_INFINITY) > operation.invokeMs - unheardMs,
  );
  // A provisional answer is released without etcd, and the answer may have been lost.
  const mayBePromised = call.operations.some(
    (other) => other.replica === operation.replica && mayPromise(other),
  );
  // What etcd was restored with may have ended before.
  const isRestored = wasLost(evidence, { afterMs: operation.invokeMs, byMs: operation.returnMs });
  if (isDone || isRestored || (mayBePromised && impaired(evidence, operation))) {
    return [];
  }
  return [say('acknowledged is done', 'a release is acknowledged but not in etcd')];
}

/** "Another generation is in force" must have been true at some moment, and not because of this request. */
function checkRefused(operation: Operation, spans: readonly Span[], say: Say): Violation[] {
  const { generation = 0, requestId } = operation;
  const standing = spans.find((span) => coversSurely(span, operation));
  if (!standing) {
    return [];
  }
  if (standing.binding.generation === generation) {
    return [say('retries converge', `refused, although generation ${generation} was in force all the time`)];
  }
  // Once the call has ended and begun again, its binding names the request that did that.
  const isItsOwn = standing.binding.request === requestId && standing.requests.size === 1;
  if (isItsOwn && standing.binding.generation === generation + 1) {
    return [say('retries converge', 'refused because of its own earlier write')];
  }
  return [];
}

type InstanceRecord = Pick<Span, 'begin' | 'end'>;

/**
 * From the creation of the key to its deletion, whatever happened between. What etcd was restored with proves nothing before it
 * is written again.
 */
function lives({ story }: CallEvidence): InstanceRecord[] {
  const found: InstanceRecord[] = [];
  let begin: Span['begin'] | undefined;
  for (const state of story.states) {
    if (state.isLoss && begin) {
      found.push({ begin, end: state });
      begin = undefined;
    } else if (state.binding && !state.isLoss) {
      begin ??= state;
    } else if (begin) {
      found.push({ begin, end: state });
      begin = undefined;
    }
  }
  return begin ? [...found, { begin, end: undefined }] : found;
}

function coversSurely({ begin, end }: InstanceRecord, { invokeMs, returnMs }: Operation): boolean {
  return !begin.isLoss && begin.byMs < invokeMs && (end?.afterMs ?? Number.POSITIVE_INFINITY) > returnMs;
}
