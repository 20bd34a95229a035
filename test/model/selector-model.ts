import assert from 'node:assert/strict';
import type { Binding, BindingVersion as Meant } from '../../services/domain/binding.js';
import { effectiveState, effectiveWeight, type Intent, type Relay } from '../../services/domain/relay.js';
import type { Answer } from '../../services/selection/requests.js';
import { type BindingVersion, type SelectorWorld, settings } from './selector-world.js';

/** What is known of replicas, relays and calls, and what the guarantee says of the answers that replicas give. */

export const replicaCount = 3;
export const callKeys = ['call-a', 'call-b'];

export type Question =
  /** `select` begins the call, or begins it again; `release late` is for a former beginning. */
  | {
      readonly ask: 'select' | 'lookup' | 'release' | 'release late';
      readonly at: number;
      readonly call: string;
    }
  /** The same request as the last one for this call, perhaps at another replica. */
  | { readonly ask: 'select again'; readonly at: number; readonly call: string }
  /** Within the dialog. */
  | { readonly ask: 'use'; readonly at: number; readonly call: string; readonly seconds: number | undefined }
  /** What stands was answered, or a former beginning of the call. */
  | { readonly ask: 'answer'; readonly at: number; readonly call: string; readonly behind: number }
  /** From the generation that stands, or from an older one. */
  | { readonly ask: 'move'; readonly at: number; readonly call: string; readonly behind: number };

export interface Asked {
  readonly question: Question;
  readonly requestId: string;
  /** The generation that a move names. */
  readonly generation: number;
  /** The binding that was answered, or had ended. */
  readonly version: Meant;
  readonly atMs: number;
  outcome?:
    | { readonly answer: Answer | undefined }
    | { readonly released: boolean }
    | { readonly error: string };
}

export interface ReplicaModel {
  /** Nothing goes through, and it knows. */
  isCut: boolean;
  /** News come late. */
  isLate: boolean;
  /** When everything went through again last. */
  restoredAtMs: number;
  /** Some of its calls to etcd may fail still. */
  failing: number;
  /** By call: where in the call's history its last answer stood. */
  readonly answered: Map<string, number>;
}

export interface Model {
  readonly replicas: ReplicaModel[];
  readonly relays: Map<string, Relay>;
  /** As they were when they left. */
  readonly gone: Map<string, Relay>;
  readonly intents: Map<string, Intent>;
  /** By call: until when its binding must live at least. */
  readonly promised: Map<string, number>;
  /** By call: the beginning for which that was promised. */
  readonly beginnings: Map<string, string>;
  /** Calls that may be released any time, by what was given up. */
  readonly doubtful: Set<string>;
  /** By call: the last request to select. */
  readonly requests: Map<string, string>;
  /** By request to move: the generation that it named. */
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
  beginnings: new Map(),
  doubtful: new Set(),
  requests: new Map(),
  moves: new Map(),
  requestCount: 0,
  lives: 0,
});

export const newReplica = (): ReplicaModel => ({
  isCut: false,
  isLate: false,
  restoredAtMs: Number.NEGATIVE_INFINITY,
  failing: 0,
  answered: new Map(),
});

const place = ({ relayId, instance, generation }: Binding) => `${relayId}/${instance}/${generation}`;
const placeOf = (version: BindingVersion | undefined) => version?.binding && place(version.binding);
/** So long after an outage an unknown call may be one that is not back yet; and then it takes a moment to notice that it is over. */
const rebuildMs = 5000 + 1000;
const isWell = ({ isCut, isLate, failing }: ReplicaModel) => !isCut && !isLate && failing === 0;

// --- what answers must be ------------------------------------------------------------------------------------------

/** Guarantees 1, 2 and 3, on etcd's own history of each call. */
export function checkHistory(model: Model, world: SelectorWorld): void {
  for (const call of callKeys) {
    let before: Binding | undefined;
    let highest = 0;
    for (const { revision, binding } of world.bindings(call)) {
      if (binding && (!before || before.generation !== binding.generation)) {
        const { relayId, instance, generation, requestId } = binding;
        const text = `${call} at ${place(binding)} after ${before && place(before)}`;
        assert.equal(
          world.registeredBefore(revision, relayId),
          instance,
          `bound to what is not there: ${text}`,
        );
        // A binding that ran out may be asserted again, or a call begun above what it was.
        const isNext = before ? generation === before.generation + 1 : generation <= highest + 1;
        assert.ok(isNext, `at a generation that does not follow: ${text}`);
        highest = Math.max(highest, generation);
        const named = model.moves.get(requestId);
        if (before && named === undefined) {
          assert.notEqual(
            world.registeredBefore(revision, before.relayId),
            before.instance,
            `moved away from a relay that is there: ${text}`,
          );
        }
        if (before && named !== undefined) {
          assert.equal(named, before.generation, `moved unasked: ${text}`);
        }
      } else if (binding && before) {
        assert.equal(place(binding), place(before), `${call} moved without a new generation`);
      }
      if (binding && before) {
        checkStep(before, binding, `${call} at ${place(binding)}, revision ${revision}`);
      }
      before = binding;
    }
  }
}

/** What a write may make of a binding. */
function checkStep(before: Binding, after: Binding, text: string): void {
  const states = `${before.state} → ${after.state}`;
  assert.equal(after.createdAtMs, before.createdAtMs, `created anew: ${text}`);
  if (after.beginning !== before.beginning) {
    assert.equal(states, 'released → setup', `begun anew: ${text}`);
    assert.equal(after.requestId, after.beginning, text);
  } else {
    assert.ok(states !== 'answered → setup' && states !== 'released → setup', `${states}: ${text}`);
  }
  if (after.generation === before.generation) {
    assert.deepEqual(after.moves, before.moves, text);
  } else {
    assert.deepEqual(after.moves.slice(0, -1), before.moves.slice(after.moves.length === 8 ? 1 : 0), text);
    assert.equal(after.moves.at(-1)?.from, before.relayId, text);
  }
}

interface Circumstances {
  /** etcd's revision before anything was asked. */
  readonly begun: number;
  /** By replica and call: the place in the call's history that was answered before. */
  readonly answered: readonly ReadonlyMap<string, number>[];
  /** Nothing else was asked meanwhile. */
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
  /** What stood at some time while this was asked. */
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
    if (question.ask === 'release late') {
      assert.ok(!outcome.released, `that beginning is past: ${text}`);
    } else if (outcome.released) {
      assert.ok(
        versions.some(({ binding }) => binding),
        text,
      );
    } else {
      assert.ok(possible.has(undefined), `a binding stood: ${text}`);
    }
  } else if (outcome.answer) {
    const { binding, freshness } = outcome.answer;
    const index = versions.findLastIndex((version) => placeOf(version) === place(binding));
    assert.ok(index >= 0, `that was never so: ${text}`);
    assert.ok(
      index >= (answered[question.at]?.get(question.call) ?? 0),
      `older than answered before: ${text}`,
    );
    // A later version at the same place is the same answer.
    const first = versions.findIndex((version) => placeOf(version) === place(binding));
    replica.answered.set(question.call, first);
    if (freshness === 'fresh') {
      assert.ok(!replica.isCut, `fresh without etcd: ${text}`);
      if (!replica.isLate) {
        assert.ok(possible.has(place(binding)), `that is history: ${text}`);
        if (['use', 'select'].includes(question.ask)) {
          assert.ok(world.registeredSince(begun, binding), `its relay was gone already: ${text}`);
        }
      }
    } else {
      assert.equal(freshness, 'stale');
      assert.ok(!isWell(replica), `not fresh, though nothing is wrong: ${text}`);
    }
    const boundAt = versions[first]?.revision ?? 0;
    // A call that is alone is placed where operators want calls to go.
    if (isWell(replica) && alone && boundAt > begun) {
      assert.ok(eligible(model).includes(binding.relayId), `not where calls should go: ${text}`);
    }
    const state = versions.at(-1)?.binding?.state;
    if (question.ask === 'select' && alone && isWell(replica)) {
      assert.notEqual(state, 'released', `it begins, and is not to last: ${text}`);
    }
    if (question.ask === 'answer') {
      assert.equal(question.behind, 0, `that beginning is past: ${text}`);
      // A replica that knows the call as answered does not hear of its release at another one.
      const wasAnswered = versions.some(
        ({ binding: each }) => each?.beginning === binding.beginning && each.state === 'answered',
      );
      assert.ok(!alone || !isWell(replica) || wasAnswered, `answered, and is ${state}: ${text}`);
    }
  } else if (question.ask === 'answer') {
    assert.ok(!alone || question.behind > 0 || possible.has(undefined), `a binding stood: ${text}`);
  } else {
    assert.ok(possible.has(undefined), `a binding stood: ${text}`);
  }
}

const eligible = (model: Model): string[] =>
  [...model.relays.values()]
    .map((relay) => ({ relay, revision: 0, intent: model.intents.get(relay.id) }))
    .filter((registered) => effectiveState(registered) === 'active' && effectiveWeight(registered) > 0)
    .map(({ relay }) => relay.id);

function checkError(
  model: Model,
  { question, generation, outcome, atMs }: Asked,
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
      assert.ok(isMove || !stands, `its relay is there: ${text}`);
      const others = eligible(model).filter((id) => !isMove || !stands || id !== before.relayId);
      assert.deepEqual(others, [], `there is one: ${text}`);
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
    case 'relay-awaited':
      // The relays here do not say what they carry.
      assert.equal(question.ask, 'use', text);
      assert.ok(!alone || !before, `a binding stood: ${text}`);
      assert.ok(!isWell(replica) || atMs - replica.restoredAtMs < rebuildMs, `nothing was lost: ${text}`);
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

// --- guarantee 4: bindings live as long as they were promised to ---------------------------------------------------

export function promise(model: Model, world: SelectorWorld, { question, outcome, atMs }: Asked): void {
  const { call } = question;
  const standing = world.bindings(call).at(-1)?.binding;
  const lingersUntilMs = atMs + settings.lingerSeconds * 1000;
  const isSame = standing?.beginning === model.beginnings.get(call);
  const until = isSame ? (model.promised.get(call) ?? 0) : 0;
  if (standing) {
    model.beginnings.set(call, standing.beginning);
  }
  if (question.ask === 'release' && outcome && 'error' in outcome) {
    model.doubtful.add(call);
  }
  if (!standing) {
    model.promised.delete(call);
    model.doubtful.delete(call);
  } else if (model.doubtful.has(call)) {
    model.promised.delete(call);
  }
  // From then on it lingers.
  else if (question.ask === 'release') {
    model.promised.set(call, Math.min(until, lingersUntilMs));
  } else if (outcome && 'answer' in outcome && outcome.answer?.freshness === 'fresh') {
    const { binding } = outcome.answer;
    const isOfThis = binding.beginning === standing.beginning && standing.state !== 'released';
    const isUse = isOfThis && question.ask !== 'lookup';
    const promised = isUse ? Math.min(binding.ttlSeconds, standing.ttlSeconds) : 0;
    model.promised.set(call, isUse ? Math.max(until, atMs + promised * 1000) : until);
  }
}

export async function checkPromises(model: Model, world: SelectorWorld): Promise<void> {
  const bound = await world.bound();
  const nowMs = world.clock.monotonicMs();
  for (const [call, untilMs] of model.promised) {
    if (nowMs < untilMs) {
      assert.ok(bound.has(call), `${call} is gone ${untilMs - nowMs} ms before its time`);
    }
  }
}
