import { type Binding, maxMoves, noticesOf, type StoredBinding } from '../domain/binding.js';
import type { Call } from '../domain/call.js';
import { HoldfastError } from '../domain/error.js';
import type { Events } from '../domain/events.js';
import type { RegisteredRelay } from '../domain/relay.js';
import type { Reservation } from '../placement/candidate.js';
import type { Placement } from '../placement/placement.js';
import type { RelayConstraints } from '../placement/pool.js';
import type { BindingWrite, Found, RelayGuard, WriteOutcome } from '../registry/binding-store.js';
import type { RelayDirectory } from '../registry/relay-directory.js';
import type { Clock } from '../runtime/clock.js';
import type { CachedBindingStore } from './cached-store.js';
import type { ProvisionalBindings } from './outage/provisional-bindings.js';
import type { SelectRequest } from './requests.js';
import type { TtlPolicy } from './ttl-policy.js';
import { asRefused, bound, guardOf, relayAwaited, withGuard } from './write-result.js';

export interface BindingWriterDeps {
  readonly cachedStore: CachedBindingStore;
  readonly directory: RelayDirectory;
  readonly placement: Placement;
  readonly provisional: ProvisionalBindings;
  readonly ttlPolicy: TtlPolicy;
  readonly events: Events;
  readonly clock: Clock;
}

/** Filled in by a write that is about to bind a call to a relay: without an answer, it may be bound there. */
export interface Tried {
  relay?: RegisteredRelay;
}

/** Why a call goes to another relay. */
export interface MoveCause {
  readonly requestId: string;
  readonly reason: string;
  readonly by: string;
}

/** The writes that there are. Each is guarded by what its writer has seen, and says what etcd said. */
export class BindingWriter {
  readonly #deps: BindingWriterDeps;
  /** Since the start, for metrics. */
  readonly counters = {
    bound: 0,
    moved: 0,
    refreshed: 0,
    answered: 0,
    released: 0,
    adopted: 0,
    reasserted: 0,
  };

  constructor(deps: BindingWriterDeps) {
    this.#deps = deps;
  }

  /** One step from what was found toward a binding to a registered relay that lives long enough. */
  bind(
    request: SelectRequest,
    found: Found | undefined,
    tried: Tried,
  ): StoredBinding | Promise<WriteOutcome> {
    const { ttlPolicy } = this.#deps;
    const stored = found && bound(found);
    if (!stored) {
      return this.#create(request, found, tried);
    }
    const { binding, revision } = stored;
    if (ttlPolicy.suffices(binding, request) && ttlPolicy.relayOf(binding)) {
      return stored;
    }
    return ttlPolicy.relayOf(binding)
      ? this.#update(stored, this.#used(binding, request))
      : this.#moveFromGone({ binding, revision }, request);
  }

  #moveFromGone({ binding, revision }: StoredBinding, request: SelectRequest): Promise<WriteOutcome> {
    const gone = this.#goneGuard(binding);
    const cause = { requestId: request.requestId, reason: 'its relay is gone', by: 'selection' };
    const next = this.#used(binding, request);
    return this.move({ binding: next, revision }, cause, request.constraints, [gone]);
  }

  /** The relay that the binding names is still gone, or has another instance. */
  #goneGuard({ call: { set }, relayId: id }: Binding): RelayGuard {
    const { revision, lease } = this.#deps.directory.versionOf(set, id);
    return { set, id, revision, lease };
  }

  /** Binds the call to another relay, generation + 1. @throws HoldfastError also `relays-full`, `no-relay` */
  async move(
    { binding: old, revision }: StoredBinding,
    { requestId, reason, by }: MoveCause,
    constraints: RelayConstraints,
    guards: readonly RelayGuard[],
  ): Promise<WriteOutcome> {
    const { clock } = this.#deps;
    const target = this.#choose(old.call, constraints);
    if (target instanceof HoldfastError) {
      throw target;
    }
    const move = { atMs: clock.wallMs(), from: old.relayId, reason, by };
    const binding: Binding = {
      ...old,
      relayId: target.id,
      instance: target.registered.relay.instance,
      generation: old.generation + 1,
      requestId,
      moves: [...old.moves, move].slice(-maxMoves),
    };
    const outcome = await this.#writeTo(target, binding, revision, guards);
    if (outcome.written) {
      this.counters.moved++;
      this.#deps.events.callMoved(outcome.stored.binding);
    }
    return outcome;
  }

  /** The binding lives at least that long from now. */
  renew(stored: StoredBinding, ttlSeconds: number): Promise<WriteOutcome> {
    const ttl = Math.max(stored.binding.ttlSeconds, ttlSeconds);
    return this.#update(stored, { ...stored.binding, ttlSeconds: ttl });
  }

  /** The call is in progress from now on. */
  answer(stored: StoredBinding): Promise<WriteOutcome> {
    const { callTtlSeconds } = this.#deps.ttlPolicy.settings;
    const ttlSeconds = Math.max(stored.binding.ttlSeconds, callTtlSeconds);
    return this.#update(stored, { ...stored.binding, state: 'answered', ttlSeconds });
  }

  /** The call has ended: its binding stays for a linger. */
  release(stored: StoredBinding): Promise<WriteOutcome> {
    return this.#update(stored, { ...stored.binding, state: 'released' });
  }

  /** The call has ended, at a generation that is above the one that etcd has of it. */
  releaseAt(outdated: StoredBinding, generation: number): Promise<WriteOutcome> {
    return this.#update(outdated, { ...outdated.binding, state: 'released', generation });
  }

  /** Whoever has written this tells the notices, and nobody else. */
  takeNotices({ binding, revision }: StoredBinding): Promise<WriteOutcome> {
    return this.#write({ binding: { ...binding, notices: [] }, expected: revision, guards: [] });
  }

  /** Binds a call to the relay that was found carrying it. */
  async adopt(found: Found, relay: RegisteredRelay, requestId: string): Promise<WriteOutcome> {
    const { cachedStore, clock, ttlPolicy, events } = this.#deps;
    const { id, instance } = relay.relay;
    const nowMs = clock.wallMs();
    const { call, binding: before } = found;
    // A relay that has restarted and was offered the call again is still setting it up.
    const isSuccessor = before?.relayId === id;
    const binding: Binding = {
      ...this.#newBinding(call, relay, requestId),
      state: isSuccessor ? before.state : 'answered',
      generation: before ? before.generation + 1 : cachedStore.nextGeneration(found, id),
      beginning: before?.beginning ?? requestId,
      createdAtMs: before?.createdAtMs ?? nowMs,
      begunAgainAtMs: before?.begunAgainAtMs,
      ttlSeconds: isSuccessor ? before.ttlSeconds : ttlPolicy.settings.callTtlSeconds,
      moves: before
        ? [
            ...before.moves,
            { atMs: nowMs, from: before.relayId, reason: 'found there', by: 'selection' },
          ].slice(-maxMoves)
        : [],
      notices: before?.notices ?? [],
      instance,
    };
    // An answered call leaves no relay that has come back meanwhile.
    const gone = before && before.state !== 'setup' ? [this.#goneGuard(before)] : [];
    const guards = withGuard(gone, guardOf(relay));
    const outcome = await this.#write({ binding, expected: found.revision, guards });
    if (outcome.written) {
      this.counters.adopted++;
      events.callAdopted(outcome.stored.binding);
    }
    return outcome;
  }

  /**
   * Writes a remembered binding that etcd has lost, or has an older generation of.
   * @param relay that must still be registered as it was seen; undefined for a call that has ended
   * @param begins the call begins again with it
   */
  async reassert(
    { binding }: StoredBinding,
    found: Found,
    relay: RegisteredRelay | undefined,
    begins = false,
  ): Promise<WriteOutcome> {
    const guards = relay ? [guardOf(relay)] : [];
    const outcome = await this.#write({ binding, expected: found.revision, guards, begins });
    if (outcome.written) {
      this.counters.reasserted++;
      this.#deps.events.callReasserted(outcome.stored.binding);
    }
    return outcome;
  }

  async #update({ binding, revision }: StoredBinding, next: Binding): Promise<WriteOutcome> {
    const begins = next.beginning !== binding.beginning;
    const outcome = await this.#write({ binding: next, expected: revision, guards: [], begins });
    if (!outcome.written) {
      return outcome;
    }
    if (next.state === binding.state) {
      this.counters.refreshed++;
    } else if (next.state === 'released') {
      this.counters.released++;
      this.#deps.events.callReleased(next);
    } else if (next.state === 'answered') {
      this.counters.answered++;
      this.#deps.events.callAnswered(next);
    } else {
      this.counters.bound++;
      this.#deps.events.callBound(next);
    }
    return outcome;
  }

  /** What this use makes of the binding: a call that was released begins again. */
  #used(binding: Binding, request: SelectRequest): Binding {
    const { ttlPolicy } = this.#deps;
    const state = ttlPolicy.stateAfter(binding, request);
    const isNew = binding.state === 'released' && state === 'setup';
    if (isNew) {
      const { requestId } = request;
      const begunAgainAtMs = this.#deps.clock.wallMs();
      const ttlSeconds = request.ttlSeconds ?? ttlPolicy.settings.setupTtlSeconds;
      const notices = noticesOf([], request.notices);
      return { ...binding, state, ttlSeconds, requestId, beginning: requestId, begunAgainAtMs, notices };
    }
    const notices = noticesOf(binding.notices, request.notices);
    return { ...binding, state, ttlSeconds: ttlPolicy.wantedTtl(binding, request), notices };
  }

  async #create(request: SelectRequest, found: Found | undefined, tried: Tried): Promise<WriteOutcome> {
    const { call, requestId } = request;
    const { cachedStore, provisional, ttlPolicy, events } = this.#deps;
    // A call that was bound when last seen is bound still, most likely: a read costs etcd less than a write.
    if (!found && cachedStore.lastKnown(call)) {
      return asRefused(await cachedStore.read(call));
    }
    const survivor = cachedStore.survivor(call);
    const carrier = survivor && ttlPolicy.relayOf(survivor.binding);
    if (survivor && carrier) {
      const binding = this.#used(survivor.binding, request);
      const none = {
        call: binding.call,
        revision: found?.revision ?? 0,
        binding: undefined,
        hasOthers: false,
      };
      const begins = binding.beginning !== survivor.binding.beginning;
      return this.reassert({ ...survivor, binding }, none, carrier, begins);
    }
    if (survivor) {
      return this.#moveFromGone({ ...survivor, revision: found?.revision ?? 0 }, request);
    }
    const target = this.#choose(call, request.constraints);
    if (target instanceof HoldfastError) {
      // No relay for a new call; but this one may be bound already.
      const known = found ?? (await cachedStore.read(call));
      if (!bound(known)) {
        throw target;
      }
      return asRefused(known);
    }
    const state = request.inDialog === true ? 'answered' : 'setup';
    const fresh = this.#newBinding(call, target.registered, requestId);
    const { setupTtlSeconds, callTtlSeconds } = ttlPolicy.settings;
    const binding: Binding = {
      ...fresh,
      state,
      // What was promised without etcd began then.
      createdAtMs: provisional.get(call)?.createdAtMs ?? fresh.createdAtMs,
      generation: cachedStore.nextGeneration(found ?? { call }),
      ttlSeconds: request.ttlSeconds ?? (state === 'setup' ? setupTtlSeconds : callTtlSeconds),
      notices: noticesOf(provisional.get(call)?.notices ?? [], request.notices),
    };
    tried.relay = target.registered;
    // Junk under its own key is written over.
    const isAlone = call.anySet && (!found || (found.revision === 0 && !found.hasOthers));
    const outcome = await this.#writeTo(target, binding, found?.revision ?? 0, [], isAlone);
    if (outcome.written) {
      this.counters.bound++;
      events.callBound(outcome.stored.binding);
    }
    return outcome;
  }

  #newBinding(call: Call, { relay }: RegisteredRelay, requestId: string): Binding {
    const { clock, ttlPolicy } = this.#deps;
    const nowMs = clock.wallMs();
    return {
      call: call.anySet ? { ...call, anySet: false } : call,
      relayId: relay.id,
      instance: relay.instance,
      generation: 1,
      requestId,
      state: 'setup',
      beginning: requestId,
      createdAtMs: nowMs,
      ttlSeconds: ttlPolicy.settings.setupTtlSeconds,
      expiresAtMs: nowMs,
      moves: [],
      notices: [],
    };
  }

  /**
   * The relay that was promised to the call without quorum, if it is there still; else what placement says. The error is
   * returned, not thrown, where the caller may know better than "no relay".
   */
  #choose(call: Call, constraints: RelayConstraints): Reservation | HoldfastError {
    const { placement, provisional, directory, clock } = this.#deps;
    const promised = provisional.get(call);
    if (promised && directory.isSuspect(promised.call.set, promised.relayId)) {
      return relayAwaited(promised);
    }
    const isWanted =
      promised !== undefined &&
      !constraints.excluded?.includes(promised.relayId) &&
      (!constraints.target || constraints.target === promised.relayId);
    const kept = isWanted && placement.take(call.set, promised.relayId, promised.instance);
    if (kept) {
      return kept;
    }
    try {
      return placement.choose(call.set, call.key, constraints, clock.monotonicMs());
    } catch (error) {
      if (error instanceof HoldfastError) {
        return error;
      }
      throw error;
    }
  }

  /** Writes a binding to a relay that must still be registered as it was seen. */
  async #writeTo(
    target: Reservation,
    binding: Binding,
    expected: number,
    guards: readonly RelayGuard[],
    alone = false,
  ): Promise<WriteOutcome> {
    const all = withGuard(guards, guardOf(target.registered));
    let written = false;
    try {
      const outcome = await this.#write({ binding, expected, guards: all, alone });
      written = outcome.written;
      return outcome;
    } finally {
      if (!written) {
        target.cancel();
      }
    }
  }

  #write({
    binding,
    begins = false,
    ...write
  }: Pick<BindingWrite, 'binding' | 'expected' | 'guards' | 'alone'> & {
    /** The call begins again after its release. */
    readonly begins?: boolean;
  }): Promise<WriteOutcome> {
    const { cachedStore, ttlPolicy, clock } = this.#deps;
    const lifetimeSeconds = ttlPolicy.lifetimeSeconds(binding);
    const expiresAtMs = clock.wallMs() + lifetimeSeconds * 1000;
    const moves = binding.generation > 1 && write.expected > 0 && write.guards.length > 0;
    const outdates = moves || begins;
    return cachedStore.write({ ...write, binding: { ...binding, expiresAtMs }, outdates, lifetimeSeconds });
  }
}
