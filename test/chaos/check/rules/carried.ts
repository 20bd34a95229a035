import type { CallEvidence, Evidence, Operation } from '../evidence.js';
import type { BindingState, LoggedBinding } from '../story.js';
import { type Violation, violation } from '../violation.js';
import { where } from './bindings.js';
import { hasLostCalls, impaired, unheardMs, wasHurt, wellMs } from './impairment.js';
import { wasAnyFrozen } from './lifetimes.js';
import { mayPromise } from './outcomes.js';

/** A deletion that a relay did not answer is tried again at most 5 s later, and each try takes time. */
const deletedByMs = 15_000;

/** A wall clock that is wrong by more is noticed. */
const skewMs = 10_000;
/** How long a relay is awaited after etcd has lost its registration, at least. */
const awaitedMs = 3000;
/** What another replica has promised, or what etcd has lost, is corrected by then, once the one that knows can. */
const correctedWithinMs = 5000;

/** A call through gateways from its answer to its first BYE, or until a gateway without etcd has sent it elsewhere. */
interface Talk {
  readonly relay: string;
  /** The answer went through its gateway. */
  readonly replica: string;
  readonly answeredMs: number;
  readonly byeMs: number;
}

/** Guarantees 3 and 7: the relay that carries an answered call is the truth, whatever etcd has lost. */
export function checkCarried(evidence: Evidence, call: CallEvidence): Violation[] {
  const talk = talkOf(evidence, call);
  return [
    ...(talk ? [...checkStays(evidence, call, talk), ...checkOneRelay(evidence, call, talk)] : []),
    ...checkRevived(evidence, call),
    ...checkDeleted(evidence, call),
  ];
}

function talkOf(evidence: Evidence, { operations }: CallEvidence): Talk | undefined {
  const answers = operations.filter(({ method }) => method === 'answer');
  const answered = answers.find(({ outcome }) => outcome === 'ok');
  // Another relay may have accepted an answer whose outcome is open.
  if (!answered?.mediaRelay || answers.some(({ outcome }) => outcome !== 'ok')) {
    return undefined;
  }
  const { mediaRelay: relay, replica, returnMs: answeredMs } = answered;
  // Without etcd it goes by what it has promised or heard of, and need not have heard of this.
  const isElsewhere = ({ method, mediaRelay = relay }: Operation) =>
    method === 'reoffer' && mediaRelay !== relay;
  const ends = operations
    .filter((each) => each.method === 'delete' || (isElsewhere(each) && impaired(evidence, each)))
    .map(({ invokeMs }) => invokeMs);
  return { relay, replica, answeredMs, byeMs: Math.min(Number.POSITIVE_INFINITY, ...ends) };
}

/** No call of a living relay is bound elsewhere for long, or goes back to an earlier generation. */
function checkStays(
  evidence: Evidence,
  { callId, story, operations }: CallEvidence,
  talk: Talk,
): Violation[] {
  const { relay, answeredMs, byeMs } = talk;
  const violations: Violation[] = [];
  let highest = 0;
  for (const state of story.states) {
    const { binding, isLoss, afterMs, byMs, revision } = state;
    if (!binding || isLoss) {
      continue;
    }
    const isDuring = afterMs > answeredMs && byMs < byeMs && binding.state !== 'released';
    const say = (message: string) =>
      violations.push(violation('call stays', callId, byMs, `revision ${revision}: ${message}`));
    const isCorrect = binding.relay === relay && binding.generation >= highest;
    if (isDuring && !isCorrect && lives(evidence, talk, byMs)) {
      const isRight = (other: LoggedBinding) => other.relay === relay && other.generation >= highest;
      if (!isCorrected(evidence, story.states, state, talk, isRight)) {
        say(`${where(binding)} comes after generation ${highest}, and ${relay} carries the call`);
      }
    }
    highest = Math.max(highest, binding.generation);
  }
  for (const operation of operations) {
    const { op, method, mediaRelay, invokeMs, returnMs } = operation;
    const isDuring = method === 'reoffer' && invokeMs > answeredMs && returnMs < byeMs;
    const isElsewhere = isDuring && mediaRelay !== undefined && mediaRelay !== relay;
    if (isElsewhere && lives(evidence, talk, returnMs)) {
      const message = `operation ${op}: sent to ${mediaRelay}, and ${relay} carries the call`;
      violations.push(violation('call stays', callId, returnMs, message));
    }
  }
  return violations;
}

/**
 * The call is bound to its relay again, lost again, or ended, before the replica that knows where it is had time to correct it. If that
 * one was killed, nobody knows until a request within the call comes.
 */
function isCorrected(
  evidence: Evidence,
  states: readonly BindingState[],
  wrong: BindingState,
  { replica, answeredMs, byeMs }: Talk,
  isRight: (binding: LoggedBinding) => boolean,
): boolean {
  const right = states.find(
    ({ revision, binding, isLoss }) => revision > wrong.revision && (isLoss || (binding && isRight(binding))),
  );
  const untilMs = Math.min(right?.afterMs ?? Number.POSITIVE_INFINITY, byeMs);
  const wasKilled = evidence.faults.some(
    ({ kind, subject, beginMs, endMs }) =>
      kind === 'replica-kill' && subject === replica && beginMs < untilMs && endMs > answeredMs,
  );
  return wasKilled || wellMs(evidence, replica, wrong.byMs, untilMs) <= correctedWithinMs;
}

/** The relay has its calls and its registration from the answer until then, as far as that is its own affair. */
function lives(evidence: Evidence, { relay, answeredMs }: Talk, untilMs: number): boolean {
  if (hasLostCalls(evidence, relay, answeredMs, untilMs)) {
    return false;
  }
  const states = evidence.registrations.get(`default/${relay}`) ?? [];
  const isGone = states.some(
    ({ instance, isLoss, afterMs, byMs }) =>
      !isLoss && instance === undefined && byMs > answeredMs - unheardMs && afterMs < untilMs,
  );
  // After a loss a relay that does not come back in time counts as gone.
  const standing = states.findLast((each) => each.byMs <= untilMs);
  const isMissed = standing?.isLoss && !standing.instance && standing.byMs + awaitedMs < untilMs;
  const since = states.filter(({ byMs, instance }) => byMs > answeredMs && instance !== undefined);
  const before = states.findLast(({ byMs, instance }) => byMs <= answeredMs && instance !== undefined);
  const isAnother = since.some(({ instance, afterMs }) => instance !== before?.instance && afterMs < untilMs);
  return !isGone && !isMissed && !isAnother;
}

/** Once relays can be told, no answered call is on two of them, unless a gateway had to do without etcd. */
function checkOneRelay(
  evidence: Evidence,
  { callId, operations }: CallEvidence,
  { answeredMs, byeMs }: Talk,
): Violation[] {
  const carriers = evidence.censuses.filter(
    ({ relay, askedAtMs, atMs, calls }) =>
      askedAtMs > answeredMs + deletedByMs &&
      atMs < byeMs &&
      calls.includes(callId) &&
      !wasHurt(evidence, relay, askedAtMs - deletedByMs, askedAtMs),
  );
  const relays = [...new Set(carriers.map(({ relay }) => relay))];
  if (relays.length < 2 || operations.some((operation) => impaired(evidence, operation))) {
    return [];
  }
  return [violation('one relay', callId, carriers[0]?.atMs ?? 0, `${relays.join(' and ')} carry the call`)];
}

/** What was released before etcd lost it is not the same call in progress afterwards: neither written so, nor answered. */
function checkRevived(evidence: Evidence, { callId, story, operations }: CallEvidence): Violation[] {
  const violations: Violation[] = [];
  const ended = new Set<string>();
  const { states } = story;
  let lostMs = Number.POSITIVE_INFINITY;
  states.forEach(({ binding, isLoss, byMs, afterMs, revision }, i) => {
    if (isLoss) {
      lostMs = afterMs;
    }
    if (!binding || binding.state === 'released' || !ended.has(binding.begun)) {
      ended.add(binding?.state === 'released' ? binding.begun : '');
      return;
    }
    // A relay that does not say what it carries for 2 s is taken to carry what is remembered; and a request whose outcome is open
    // may begin the call anew.
    const isOpen = operations.some(
      (each) =>
        (each.requestId === binding.begun && mayPromise(each)) ||
        (each.requestId === undefined && each.outcome === 'unknown' && each.invokeMs < byMs),
    );
    if (isOpen || wasHurt(evidence, binding.relay, lostMs - unheardMs, byMs + unheardMs)) {
      return;
    }
    // Holdfast itself took it for ended, because its relay did not know it: a request that knows better goes on with it.
    const isUsed = operations.some(({ requestId }) => requestId === binding.request);
    if (isUsed && !operations.some((each) => isEnd(each) && each.invokeMs < byMs)) {
      return;
    }
    const before = states[i - 1]?.binding;
    // Who did not hear of the release goes on with what was restored, until one that did corrects it.
    const isRestored = isLoss || (before?.begun === binding.begun && before.state !== 'released');
    const untilMs = states[i + 1]?.afterMs ?? Number.POSITIVE_INFINITY;
    const believed = operations.find(
      ({ answer, invokeMs, returnMs }) =>
        answer?.freshness === 'fresh' &&
        !answer.released &&
        answer.createdAtMs === binding.createdAtMs &&
        invokeMs > byMs + unheardMs &&
        returnMs < untilMs,
    );
    if (!isRestored && lostMs < byMs && !wasAnyFrozen(evidence, { afterMs, byMs })) {
      const message = `revision ${revision}: ${binding.state} again on ${binding.relay}, though it was released`;
      violations.push(violation('ended stays ended', callId, byMs, message));
    } else if (isRestored && believed) {
      const message = `operation ${believed.op}: in progress, though it was released before etcd was restored`;
      violations.push(violation('ended stays ended', callId, believed.returnMs, message));
    }
  });
  return violations;
}

/** A deletion that was answered is done, in the end. */
function checkDeleted(evidence: Evidence, { callId, operations, story }: CallEvidence): Violation[] {
  const done = operations.find(({ method, outcome }) => method === 'delete' && outcome === 'ok');
  if (!done || operations.some((each) => isOfferAfter(each, done))) {
    return [];
  }
  const begunMs = operations[0]?.invokeMs ?? 0;
  // What an offer without an answer, or a gateway without etcd, has left elsewhere ends when no media come.
  const bound = story.states.flatMap(({ binding }) => binding?.relay ?? []);
  const relays = new Set([...bound, ...operations.flatMap(({ mediaRelay }) => mediaRelay ?? [])]);
  const found = evidence.censuses.find(
    ({ relay, askedAtMs, calls }) =>
      relays.size === 1 &&
      relays.has(relay) &&
      wellMs(evidence, done.replica, done.returnMs, askedAtMs) > deletedByMs &&
      calls.includes(callId) &&
      !wasHurt(evidence, relay, askedAtMs - deletedByMs, askedAtMs) &&
      // A re-INVITE may have begun it again on a relay that had just lost it.
      !hasLostCalls(evidence, relay, begunMs, done.returnMs) &&
      !wasRestarted(evidence, done, askedAtMs) &&
      !wasSkewed(evidence, relay, done),
  );
  if (!found) {
    return [];
  }
  const lateMs = Math.round(found.askedAtMs - done.returnMs);
  const message = `operation ${done.op}: ${found.relay} carries the call ${lateMs} ms after its end was acknowledged`;
  return [violation('ended stays ended', callId, found.atMs, message)];
}

function isEnd({ method }: Operation): boolean {
  return method === 'release' || method === 'delete';
}

/** It may have reached a relay after the deletion, as far as relays tell, which is in whole seconds. */
function isOfferAfter({ method, returnMs }: Operation, { invokeMs }: Operation): boolean {
  return (method === 'offer' || method === 'reoffer' || method === 'answer') && returnMs > invokeMs - 1000;
}

/** A replica that is killed forgets what it owes relays; they end a session without packets in the end. */
function wasRestarted({ faults }: Evidence, { replica, invokeMs }: Operation, untilMs: number): boolean {
  return faults.some(
    ({ kind, subject, beginMs }) =>
      kind === 'replica-kill' && subject === replica && beginMs > invokeMs && beginMs < untilMs,
  );
}

/**
 * A delete that is put off is given up if its relay has heard of the call since, by the clocks of both. Where one is wrong by
 * seconds, what it heard just before may look so.
 */
function wasSkewed({ faults }: Evidence, relay: string, { replica, invokeMs, returnMs }: Operation): boolean {
  return faults.some(
    ({ kind, subject, stepMs, beginMs, endMs }) =>
      kind === 'clock-step' &&
      (subject === relay || subject === replica) &&
      Math.abs(stepMs) <= skewMs &&
      beginMs < returnMs + deletedByMs &&
      endMs > invokeMs - skewMs,
  );
}
