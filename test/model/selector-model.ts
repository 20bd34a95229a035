import assert from 'node:assert/strict';
import type { Binding } from '../../services/domain/binding.js';
import { effectiveState, effectiveWeight, type Intent, type Relay } from '../../services/domain/relay.js';
import type { Answer } from '../../services/selection/requests.js';
import { type BindingVersion, type SelectorWorld, settings } from './selector-world.js';

/** The expected state of replicas, relays and calls, and the checks of answers against the guarantee. */

export const replicaCount = 3;
export const callKeys = ['call-a', 'call-b'];

export type Question =
  /** "begin": a call with this Call-ID begins, perhaps again. */
  | { readonly ask: 'select' | 'begin' | 'lookup' | 'release'; readonly at: number; readonly call: string }
  /** Repeats the last request for this call, perhaps at another replica. */
  | { readonly ask: 'select again'; readonly at: number; readonly call: string }
  | { readonly ask: 'prolong'; readonly at: number; readonly call: string; readonly seconds: number }
  /** From the current generation, or an older one. */
  | { readonly ask: 'move'; readonly at: number; readonly call: string; readonly behind: number };

export interface Asked {
  readonly question: Question;
  readonly requestId: string;
  /** The generation that a move names. */
  readonly generation: number;
  readonly atMs: number;
  outcome?:
    | { readonly answer: Answer | undefined }
    | { readonly released: boolean }
    | { readonly error: string };
}

export interface ReplicaModel {
  /** It has no connection, and knows it. */
  isCut: boolean;
  /** Its watches are delayed. */
  isLate: boolean;
  /** So many of its calls to etcd can still fail. */
  failing: number;
  /** By call: index of its last answer in the call's history. */
  readonly answered: Map<string, number>;
}

export interface Model {
  readonly replicas: ReplicaModel[];
  readonly relays: Map<string, Relay>;
  /** Relays that have left. */
  readonly gone: Map<string, Relay>;
  readonly intents: Map<string, Intent>;
  /** By call: the earliest expiry of its binding. */
  readonly promised: Map<string, number>;
  /** Calls that may be released at any time, by a request that was given up. */
  readonly doubtful: Set<string>;
  /** By call: the last request to select. */
  readonly requests: Map<string, string>;
  /** By Move request: the generation that it named. */
  readonly moves: Map<string, number>;
  requestCount: number;
  lives: number;
}

export const newModel = (): Model => ({
  replicas: Array.from({ length: replicaCount }, newReplica),
  relays: new Map(),
  gone: new Map(),
  intents: new Map(),
  promised: new Map(),
  doubtful: new Set(),
  requests: new Map(),
  moves: new Map(),
  requestCount: 0,
  lives: 0,
});

export const newReplica = (): ReplicaModel => ({
  isCut: false,
  isLate: false,
  failing: 0,
  answered: new Map(),
});

const place = ({ relayId, instance, generation }: Binding) => `${relayId}/${instance}/${generation}`;
const placeOf = (version: BindingVersion | undefined) => version?.binding && place(version.binding);
const isWell = ({ isCut, isLate, failing }: ReplicaModel) => !isCut && !isLate && failing === 0;

// --- checks of answers ---------------------------------------------------------------------------------------------

/** Guarantees 1, 2 and 3, by etcd's own history of each call. */
export function checkHistory(model: Model, world: SelectorWorld): void {
  for (const call of callKeys) {
    let before: Binding | undefined;
    for (const { revision, binding } of world.bindings(call)) {
      if (binding && (!before || before.generation !== binding.generation)) {
        const { relayId, instance, generation, requestId } = binding;
        const text = `${call} at ${place(binding)} after ${before && place(before)}`;
        assert.equal(
          world.registeredBefore(revision, relayId),
          instance,
          `bound to a relay that is not registered: ${text}`,
        );
        assert.equal(generation, (before?.generation ?? 0) + 1, text);
        const named = model.moves.get(requestId);
        if (before && named === undefined) {
          assert.notEqual(
            world.registeredBefore(revision, before.relayId),
            before.instance,
            `moved away from a registered relay: ${text}`,
          );
        }
        if (before && named !== undefined) {
          assert.equal(named, before.generation, `moved without a request: ${text}`);
        }
      } else if (binding && before) {
        assert.equal(place(binding), place(before), `${call} moved without a new generation`);
      }
      before = binding;
    }
  }
}

interface Circumstances {
  /** etcd's revision before the requests. */
  readonly begun: number;
  /** By replica and call: index of the previous answer in the call's history. */
  readonly answered: readonly ReadonlyMap<string, number>[];
  /** There was no other request meanwhile. */
  readonly alone: boolean;
}

export function checkOutcome(
  model: Model,
  world: SelectorWorld,
  asked: Asked,
  { begun, answered, alone }: Circumstances,
): void {
  const { question, outcome } = asked;
  const replica = model.replicas[question.at] as ReplicaModel;
  const versions = world.bindings(question.call);
  /** The versions that were in force at some time during the request. */
  const meanwhile = versions.filter(
    ({ revision }, i) => (versions[i + 1]?.revision ?? Number.POSITIVE_INFINITY) > begun || revision > begun,
  );
  const begins = versions.findLast(({ revision }) => revision <= begun);
  const possible = new Set(begins ? meanwhile.map(placeOf) : [undefined, ...meanwhile.map(placeOf)]);
  const text = `${question.ask} ${question.call} at ${question.at} → ${show(outcome)}; history: ${versions
    .map((version) => `${version.revision}=${placeOf(version)}`)
    .join(' ')}, begun at ${begun}`;
  assert.ok(outcome, text);
  if ('error' in outcome) {
    checkError(model, asked, begins?.binding, alone, text);
  } else if ('released' in outcome) {
    if (outcome.released) {
      assert.ok(
        versions.some(({ binding }) => binding),
        text,
      );
    } else {
      assert.ok(possible.has(undefined), `there was a binding: ${text}`);
    }
  } else if (outcome.answer) {
    const { binding, freshness } = outcome.answer;
    const index = versions.findLastIndex((version) => placeOf(version) === place(binding));
    assert.ok(index >= 0, `this was never in etcd: ${text}`);
    assert.ok(
      index >= (answered[question.at]?.get(question.call) ?? 0),
      `older than the previous answer: ${text}`,
    );
    // Later versions with the same relay, instance and generation are the same answer.
    const first = versions.findIndex((version) => placeOf(version) === place(binding));
    replica.answered.set(question.call, first);
    if (freshness === 'fresh') {
      assert.ok(!replica.isCut, `fresh without etcd: ${text}`);
      if (!replica.isLate) {
        assert.ok(possible.has(place(binding)), `outdated: ${text}`);
        if (['begin', 'select'].includes(question.ask)) {
          assert.ok(world.registeredSince(begun, binding), `its relay had left: ${text}`);
        }
      }
    } else {
      assert.equal(freshness, 'stale');
      assert.ok(!isWell(replica), `not fresh, although nothing is wrong: ${text}`);
    }
    const boundAt = versions[first]?.revision ?? 0;
    // Without concurrent requests a call is placed on an eligible relay.
    if (isWell(replica) && alone && boundAt > begun) {
      assert.ok(eligible(model).includes(binding.relayId), `not an eligible relay: ${text}`);
    }
    if (question.ask === 'begin' && alone && isWell(replica)) {
      assert.ok(!versions.at(-1)?.binding?.released, `it begins, but is released: ${text}`);
    }
  } else {
    assert.ok(possible.has(undefined), `there was a binding: ${text}`);
  }
}

const eligible = (model: Model): string[] =>
  [...model.relays.values()]
    .map((relay) => ({ relay, revision: 0, intent: model.intents.get(relay.id) }))
    .filter((registered) => effectiveState(registered) === 'active' && effectiveWeight(registered) > 0)
    .map(({ relay }) => relay.id);

function checkError(
  model: Model,
  { question, generation, outcome }: Asked,
  before: Binding | undefined,
  alone: boolean,
  text: string,
): void {
  const { error } = outcome as { error: string };
  const replica = model.replicas[question.at] as ReplicaModel;
  const stands = before !== undefined && model.relays.get(before.relayId)?.instance === before.instance;
  switch (error) {
    case 'unavailable':
      assert.ok(!isWell(replica) || !alone, `nothing is wrong: ${text}`);
      return;
    case 'no-relay': {
      if (!isWell(replica) || !alone) {
        return;
      }
      const isMove = question.ask === 'move';
      assert.ok(isMove || !stands, `its relay is registered: ${text}`);
      const others = eligible(model).filter((id) => !isMove || !stands || id !== before.relayId);
      assert.deepEqual(others, [], `there is an eligible relay: ${text}`);
      return;
    }
    case 'not-found':
    case 'failed-precondition':
      assert.equal(question.ask, 'move', text);
      if (alone && !replica.isCut) {
        assert.equal(before ? 'failed-precondition' : 'not-found', error, text);
      }
      if (alone && before && error === 'failed-precondition') {
        assert.notEqual(before.generation, generation, text);
      }
      return;
    default:
      assert.fail(text);
  }
}

const show = (outcome: Asked['outcome']): string => {
  if (!outcome) {
    return 'nothing';
  }
  if ('answer' in outcome) {
    return outcome.answer ? `${outcome.answer.freshness} ${place(outcome.answer.binding)}` : 'not bound';
  }
  return JSON.stringify(outcome);
};

// --- guarantee 4: the TTL is a minimum -----------------------------------------------------------------------------

export function promise(model: Model, world: SelectorWorld, { question, outcome, atMs }: Asked): void {
  const { call } = question;
  const standing = world.bindings(call).at(-1)?.binding;
  const lingersUntilMs = atMs + settings.lingerSeconds * 1000;
  const until = model.promised.get(call) ?? 0;
  if (question.ask === 'release' && outcome && 'error' in outcome) {
    model.doubtful.add(call);
  }
  if (!standing) {
    model.promised.delete(call);
    model.doubtful.delete(call);
  } else if (model.doubtful.has(call)) {
    model.promised.delete(call);
  }
  // The linger begins.
  else if (question.ask === 'release') {
    model.promised.set(call, Math.min(until, lingersUntilMs));
  } else if (outcome && 'answer' in outcome && outcome.answer?.freshness === 'fresh' && !standing.released) {
    const { ttlSeconds } = outcome.answer.binding;
    const seconds = { lookup: 0, prolong: question.ask === 'prolong' ? question.seconds : 0 };
    const promised = question.ask in seconds ? seconds[question.ask as 'lookup'] : ttlSeconds;
    model.promised.set(call, Math.max(until, atMs + promised * 1000));
  }
}

export async function checkPromises(model: Model, world: SelectorWorld): Promise<void> {
  const bound = await world.bound();
  const nowMs = world.clock.monotonicMs();
  for (const [call, untilMs] of model.promised) {
    if (nowMs < untilMs) {
      assert.ok(bound.has(call), `${call} expired ${untilMs - nowMs} ms too early`);
    }
  }
}
