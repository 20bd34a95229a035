import type { CallEvidence, Evidence, Operation } from '../evidence.js';
import type { Span } from '../story.js';
import { type Violation, violation } from '../violation.js';
import { impaired, unheardFor } from './impairment.js';

/** Guarantee 1: every fresh answer is the current one of the single sequence of bindings in etcd. */
export function checkAnswers(evidence: Evidence, call: CallEvidence): Violation[] {
  const { spans } = call.story;
  const violations: Violation[] = [];
  const read: Reading[] = [];
  for (const operation of call.operations) {
    const { answer, outcome, mediaRelay, returnMs } = operation;
    const say = (check: Violation['check'], message: string) =>
      violation(check, call.callId, returnMs, `operation ${operation.op}: ${message}`);
    if (mediaRelay !== undefined) {
      violations.push(...checkMedia(evidence, call, operation, say));
    }
    if (outcome !== 'ok' || !answer) {
      continue;
    }
    // After a loss the same generation may be written again: the last one that the replica can have read counts.
    const isRead = ({ binding, begin }: Span) => isOf(answer, binding) && begin.afterMs <= returnMs;
    const at = spans.findLastIndex(isRead);
    const span = spans[at];
    if (answer.freshness === 'provisional') {
      violations.push(...checkProvisional(evidence, operation, say));
    } else if (!span) {
      violations.push(
        say(
          answer.freshness === 'stale' ? 'stale was true' : 'answer is of the log',
          `${answer.relay}/${answer.instance.slice(0, 6)}/${answer.generation} was not in etcd by then`,
        ),
      );
    } else if (answer.freshness === 'fresh') {
      violations.push(...checkTime(evidence, operation, span, say));
      violations.push(...checkRelay(evidence, operation, span, say));
      read.push({ operation, answer, at });
    }
  }
  return [...violations, ...checkOrder(call, read)];
}

type Say = (check: Violation['check'], message: string) => Violation;

/** Which generation a fresh answer contained, as an index into the call's spans. */
interface Reading {
  readonly operation: Operation;
  readonly answer: NonNullable<Operation['answer']>;
  readonly at: number;
}

function isOf(answer: NonNullable<Operation['answer']>, binding: Span['binding']): boolean {
  return (
    answer.relay === binding.relay &&
    answer.instance === binding.instance &&
    answer.generation === binding.generation &&
    answer.createdAtMs === binding.createdAtMs
  );
}

/**
 * The answer was in force when the request was sent, or was replaced so shortly before that the replica need not know it.
 * Expiry sends no notification: no replica must answer a binding beyond its lifetime.
 */
function checkTime(evidence: Evidence, operation: Operation, { end, endedBy }: Span, say: Say): Violation[] {
  if (!end) {
    return [];
  }
  const allowedMs = endedBy === 'deletion' ? 0 : unheardFor(evidence, operation);
  const lateMs = operation.invokeMs - end.byMs;
  if (lateMs < allowedMs) {
    return [];
  }
  return [say('answer is of its time', `ended by ${endedBy} ${Math.round(lateMs)} ms before the request`)];
}

/** Select answers a relay that is registered, as far as the replica can know. */
function checkRelay(evidence: Evidence, operation: Operation, { binding }: Span, say: Say): Violation[] {
  if (operation.method !== 'select' && operation.method !== 'stream') {
    return [];
  }
  const sinceMs = operation.invokeMs - unheardFor(evidence, operation);
  const registrations = evidence.registrations.get(`${binding.set}/${binding.relay}`) ?? [];
  const wasThere = registrations.some(
    ({ instance, afterMs }, i) =>
      instance === binding.instance &&
      afterMs <= operation.returnMs &&
      (registrations[i + 1]?.byMs ?? Number.POSITIVE_INFINITY) > sinceMs,
  );
  if (wasThere) {
    return [];
  }
  return [
    say('relay was registered', `${binding.relay}/${binding.instance.slice(0, 6)} was gone long before`),
  ];
}

/** Media in a gateway's reply are those of the relay that the call was bound to. */
function checkMedia(evidence: Evidence, call: CallEvidence, operation: Operation, say: Say): Violation[] {
  const sinceMs = operation.invokeMs - unheardFor(evidence, operation);
  const wasBound = call.story.spans.some(
    ({ binding, begin, end }) =>
      binding.relay === operation.mediaRelay &&
      begin.afterMs <= operation.returnMs &&
      (end?.byMs ?? Number.POSITIVE_INFINITY) > sinceMs,
  );
  // Without etcd the gateway continues too, and its replies do not tell so.
  if (wasBound || impaired(evidence, operation)) {
    return [];
  }
  return [say('answer is of the log', `media of ${operation.mediaRelay}, where the call was not bound`)];
}

function checkProvisional(evidence: Evidence, operation: Operation, say: Say): Violation[] {
  const wrong: Violation[] = [];
  if (!impaired(evidence, operation)) {
    wrong.push(say('provisional in need', 'a provisional answer while nothing was wrong with etcd'));
  }
  if (operation.answer?.generation !== 0) {
    wrong.push(
      say('provisional in need', `a provisional answer of generation ${operation.answer?.generation}`),
    );
  }
  return wrong;
}

/** A replica process never answers an older generation than it has answered before. */
function checkOrder({ callId }: CallEvidence, read: readonly Reading[]): Violation[] {
  const violations: Violation[] = [];
  for (const later of read) {
    const { operation } = later;
    const earlier = read.find(
      (each) =>
        (each.at > later.at || isAbove(each.answer, later.answer)) &&
        each.operation.returnMs < operation.invokeMs &&
        each.operation.replica === operation.replica &&
        each.operation.returnLife === operation.life,
    );
    if (earlier) {
      violations.push(
        violation(
          'replica never goes back',
          callId,
          operation.returnMs,
          `operation ${operation.op}: answers an older generation than operation ${earlier.operation.op}`,
        ),
      );
    }
  }
  return violations;
}

/** Also where the later one was in etcd again, for that was restored. */
function isAbove(one: Reading['answer'], other: Reading['answer']): boolean {
  return one.createdAtMs === other.createdAtMs && one.generation > other.generation;
}
