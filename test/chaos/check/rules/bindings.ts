import type { CallEvidence, Evidence, Operation } from '../evidence.js';
import { type BindingState, isSameGeneration, type LoggedBinding } from '../story.js';
import { type Violation, violation } from '../violation.js';
import { wasLost } from './impairment.js';

/** An offer that the gateway sends on to the next relay may be written after its proxy has given up. */
const afterOfferMs = 10_000;

/** Guarantees 1 to 3, from etcd's log alone: each change of a call's key must be allowed. */
export function checkBindings(evidence: Evidence, call: CallEvidence): Violation[] {
  const violations: Violation[] = [];
  let before: BindingState | undefined;
  const past: LoggedBinding[] = [];
  for (const state of call.story.states) {
    const { binding, isLoss } = state;
    if (binding && !isLoss) {
      violations.push(...checkChange(evidence, call, { before, past }, { ...state, binding }));
      past.push(binding);
    }
    before = state;
  }
  return violations;
}

type Written = BindingState & { readonly binding: LoggedBinding };

interface Before {
  /** In force just before. */
  readonly before: BindingState | undefined;
  /** All that was ever written. */
  readonly past: readonly LoggedBinding[];
}

function checkChange(
  evidence: Evidence,
  call: CallEvidence,
  { before: standing, past }: Before,
  state: Written,
): Violation[] {
  const { binding, byMs, revision } = state;
  const say = (check: Violation['check'], message: string) =>
    violation(check, call.callId, byMs, `revision ${revision}: ${message}`);
  const before = standing?.binding;
  const highest = Math.max(0, ...past.map(({ generation }) => generation));
  const isRebuilding = wasLost(evidence, state);
  if (standing?.isLoss && before && isSameGeneration(before, binding)) {
    return [];
  }
  if (standing?.isLoss && past.some((each) => isSameGeneration(each, binding))) {
    // What was lost is written again; the end of a call needs no relay.
    return binding.state === 'released' ? [] : checkTarget(evidence, state, say);
  }
  if (standing?.isLoss && before && before.generation < highest) {
    // What etcd came back with is outdated: the call goes on above all that it was.
    const isWhereItWas = past.some(
      ({ generation, instance }) => generation === binding.generation && instance === binding.instance,
    );
    const wrong =
      binding.generation === highest + 1 || (binding.generation === highest && isWhereItWas)
        ? []
        : [say('generation', `${highest} was lost, and is followed by ${binding.generation}`)];
    return binding.state === 'released' ? wrong : [...wrong, ...checkTarget(evidence, state, say)];
  }
  if (!before) {
    // What ran out while etcd was away may be asserted again, or begin above what it was.
    const isPossible = binding.generation <= Math.max(1, highest + 1);
    const wrong = isPossible ? [] : [say('generation', `begins with ${binding.generation}`)];
    return [...wrong, ...checkTarget(evidence, state, say)];
  }
  // What etcd came back with may have ended unheard, and begin again; or its end is remembered, which needs no relay.
  if (isRebuilding && binding.state === 'released') {
    return [];
  }
  const wrong = isRebuilding ? [] : checkState(before, binding, say);
  if (isSameGeneration(before, binding)) {
    const begins = before.begun !== binding.begun && binding.state === 'setup' && !isRebuilding;
    return begins ? [...wrong, ...checkTold(call, state, say)] : wrong;
  }
  // Who had not heard of the last move before etcd was restored may write an older generation first.
  const isPastAll = isRebuilding && before.generation < highest && binding.generation === highest + 1;
  if (isPastAll) {
    return checkTarget(evidence, state, say);
  }
  if (binding.createdAtMs === before.createdAtMs && binding.generation !== before.generation + 1) {
    return [say('generation', `${before.generation} is followed by ${binding.generation}`)];
  }
  if (binding.generation !== before.generation + 1) {
    return [say('one binding', `${where(before)} is replaced by ${where(binding)}`)];
  }
  return [
    ...wrong,
    ...checkTarget(evidence, state, say),
    ...(isRebuilding ? [] : checkCause(evidence, call, before, state, say)),
    ...checkTold(call, state, say),
  ];
}

type Say = (check: Violation['check'], message: string) => Violation;

/** A call is set up, answered and released; only one that was released begins again, by another request. */
function checkState(before: LoggedBinding, after: LoggedBinding, say: Say): Violation[] {
  const change = `${before.state} → ${after.state}`;
  const isAgain = after.begun !== before.begun;
  const isRight = isAgain
    ? change === 'released → setup'
    : after.state === before.state || after.state !== 'setup';
  return isRight ? [] : [say('state', `${change}, begun by ${before.begun} and ${after.begun}`)];
}

function checkTarget(evidence: Evidence, { binding, revision }: Written, say: Say): Violation[] {
  const instance = registered(evidence, binding, revision);
  if (instance === binding.instance) {
    return [];
  }
  return [say('live target', `${where(binding)} is bound while ${instance ?? 'nothing'} is registered`)];
}

/** The old instance was gone at that revision, or the move was requested. */
function checkCause(
  evidence: Evidence,
  call: CallEvidence,
  before: LoggedBinding,
  state: Written,
  say: Say,
): Violation[] {
  if (registered(evidence, before, state.revision) !== before.instance) {
    return [];
  }
  if (call.operations.some((operation) => asksFor(operation, before, state))) {
    return [];
  }
  return [
    say(
      'cause of move',
      `${where(before)} moves to ${where(state.binding)}, although its instance is registered`,
    ),
  ];
}

/** An explicit Move, by its request id; the offer of a new call, which the gateway sends on when a relay fails; or its answer. */
function asksFor(operation: Operation, before: LoggedBinding, { binding, byMs, afterMs }: Written): boolean {
  if (operation.invokeMs > byMs) {
    return false;
  }
  if (operation.method === 'move') {
    return operation.requestId === binding.request && operation.generation === before.generation;
  }
  // Promised without etcd, and accepted by the relay that carries it, while another replica had it set up elsewhere.
  const isAccepted = operation.method === 'answer' || operation.method === 'reoffer';
  const isThere = operation.outcome === 'ok' && operation.mediaRelay === binding.relay;
  if (isAccepted && isThere && before.state === 'setup') {
    return true;
  }
  // Once it is answered, no relay that is there loses it. A re-INVITE that comes after the end begins the call again.
  const isOffer = operation.method === 'offer' || operation.method === 'reoffer';
  const isHunting = isOffer && before.state === 'setup';
  return isHunting && operation.returnMs + afterOfferMs >= afterMs;
}

/** A move, or another beginning, writes a key that notifies caches. */
function checkTold(call: CallEvidence, { binding, revision }: Written, say: Say): Violation[] {
  const told = call.moves.get(revision);
  if (told === binding.generation) {
    return [];
  }
  return [say('move is told', `generation ${binding.generation} is published as ${told ?? 'nothing'}`)];
}

/** The instance that this relay was registered with just before that revision. */
export function registered(
  { registrations }: Evidence,
  { set, relay }: LoggedBinding,
  revision: number,
): string | undefined {
  return registrations.get(`${set}/${relay}`)?.findLast((each) => each.revision < revision)?.instance;
}

export function where({ relay, instance, generation }: LoggedBinding): string {
  return `${relay}/${instance.slice(0, 6)}/${generation}`;
}
