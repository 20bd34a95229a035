import {
  type Binding,
  type Freshness,
  leaseSeconds,
  originOf,
  remainingSeconds,
  type StoredBinding,
} from '../domain/binding.js';
import type { Call } from '../domain/call.js';
import { HoldfastError } from '../domain/error.js';
import type { Candidate } from '../placement/candidate.js';
import type { Placement } from '../placement/placement.js';
import type { Wish } from '../placement/pool.js';
import type { BindingStore, Found, RelayGuard, WriteOutcome } from '../registry/binding-store.js';
import type { RelayDirectory } from '../registry/relay-directory.js';
import { type Clock, sleep } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';
import type { BindingCache } from './binding-cache.js';
import { asksAlike, asRefused, bound, isOutage, isUnavailable, withGuard } from './outcome.js';
import type { Answer, MoveRequest, SelectRequest } from './question.js';

export interface SelectorSettings {
  /** TTL of a call that was not answered yet, s. */
  readonly setupTtlSeconds: number;
  /** TTL of a call in progress, s. */
  readonly callTtlSeconds: number;
  /** How long a released binding is kept, s. */
  readonly lingerSeconds: number;
}

export interface SelectorParts {
  readonly store: BindingStore;
  readonly directory: RelayDirectory;
  readonly placement: Placement;
  readonly cache: BindingCache;
  /** True while moves by other replicas are heard as they happen. */
  readonly hearsMoves: () => boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Each attempt begins where the last one showed this replica to be behind. */
const maxAttempts = 6;
/** No attempt begins later than this after the request came. */
const patienceMs = 2_000;

/** The one algorithm: which relay carries a call. All fronts ask it; it alone writes bindings. */
export class Selector {
  readonly #parts: SelectorParts;
  readonly #settings: SelectorSettings;
  /** Calls whose binding is being settled: concurrent requests for one call share the work. */
  readonly #settling = new Map<string, { request: SelectRequest; settled: Promise<StoredBinding> }>();
  /** Since the start, for metrics. */
  readonly counters = { bound: 0, moved: 0, refreshed: 0, released: 0, guardFailures: 0 };

  constructor(parts: SelectorParts, settings: SelectorSettings) {
    this.#parts = parts;
    this.#settings = settings;
  }

  /**
   * The relay of the call: bound before, or bound now.
   * @throws HoldfastError `relays-full`, `no-relay`, `unavailable`, `overloaded`
   */
  async select(request: SelectRequest): Promise<Answer> {
    const { call, requestId } = request;
    const trusted = this.#trusted(call);
    if (trusted && this.#isSettled(trusted.binding, request))
      return this.#answer(trusted, requestId, 'fresh');
    return this.#orStale(call, requestId, () => this.#settle(request, trusted));
  }

  /**
   * The relay of the call if it is bound; undefined if not. Writes nothing.
   * @throws HoldfastError `unavailable`, `overloaded`
   */
  async lookup(call: Call): Promise<Answer | undefined> {
    return this.#orStale(call, '', async () => this.#trusted(call) ?? bound(await this.#read(call)));
  }

  /**
   * The same, and the binding lives at least `ttlSeconds` from now. Neither binds nor moves.
   * @throws HoldfastError `unavailable`, `overloaded`
   */
  async prolong(call: Call, ttlSeconds: number): Promise<Answer | undefined> {
    return this.#orStale(call, '', async () =>
      bound(
        await this.#attempts<Found>(this.#trusted(call), async (seen) => {
          const found = seen ?? (await this.#read(call));
          const stored = bound(found);
          return stored && !this.#livesFor(stored.binding, ttlSeconds)
            ? this.#refresh(stored, ttlSeconds)
            : found;
        }),
      ),
    );
  }

  /**
   * Binds the call to another relay.
   * @throws HoldfastError `not-found`, `failed-precondition`, `relays-full`, `no-relay`, `unavailable`, `overloaded`
   */
  async move(request: MoveRequest): Promise<Answer> {
    const { call, generation, requestId } = request;
    const stored = await this.#attempts(undefined, async (seen) => {
      const found = seen ?? (await this.#read(call));
      const { binding } = found;
      if (!binding) throw new HoldfastError('not-found', `call ${call.callId} has no binding`);
      // An earlier try of this very request has done it.
      if (binding.generation === generation + 1 && binding.requestId === requestId)
        return found as StoredBinding;
      if (binding.generation !== generation)
        throw new HoldfastError(
          'failed-precondition',
          `generation: call ${call.callId} is at generation ${binding.generation}, not ${generation}`,
        );
      const excluded = this.#stands(binding)
        ? [...(request.wish.excluded ?? []), binding.relayId]
        : request.wish.excluded;
      const wish = { ...request.wish, excluded };
      return this.#moveTo(found as StoredBinding, requestId, wish, [], request.reason);
    });
    return this.#answer(stored, requestId, 'fresh');
  }

  /**
   * The call has ended: its binding stays for a linger, and use does not prolong it.
   * @returns false if there was no binding
   * @throws HoldfastError `unavailable`, `overloaded`
   */
  async release(call: Call): Promise<boolean> {
    const { lingerSeconds } = this.#settings;
    const { clock } = this.#parts;
    const released = await this.#attempts(this.#trusted(call), async (seen) => {
      const found = seen ?? (await this.#read(call));
      if (!found.binding || found.binding.released) return found;
      const expiresAtMs = clock.wallMs() + lingerSeconds * 1_000;
      const binding: Binding = { ...found.binding, released: true, expiresAtMs };
      const outcome = await this.#write(binding, found.revision, [], lingerSeconds);
      if (outcome.written) this.counters.released++;
      return outcome;
    });
    return released.binding !== undefined;
  }

  #trusted(call: Call): StoredBinding | undefined {
    const { cache, directory, hearsMoves, clock } = this.#parts;
    return directory.live && hearsMoves() ? cache.trusted(call.key, clock.monotonicMs()) : undefined;
  }

  #settle(request: SelectRequest, trusted: StoredBinding | undefined): Promise<StoredBinding> {
    const { key } = request.call;
    const underWay = this.#settling.get(key);
    // What another request settles may not live as long as this one asks: then this one has its own turn.
    if (underWay)
      return underWay.settled.then(
        (stored) => (this.#isSettled(stored.binding, request) ? stored : this.#settle(request, stored)),
        (error) => {
          // No relay for the other request may be no answer to this one.
          if (isOutage(error) || asksAlike(underWay.request, request)) throw error;
          return this.#settle(request, undefined);
        },
      );
    const settled = this.#attempts<StoredBinding>(trusted, (found) => this.#step(request, found)).finally(
      () => this.#settling.delete(key),
    );
    this.#settling.set(key, { request, settled });
    return settled;
  }

  /** One guarded step from what was found towards a binding that stands and lives long enough. */
  async #step(request: SelectRequest, found: Found | undefined): Promise<StoredBinding | WriteOutcome> {
    if (!found?.binding) return this.#bind(request, found);
    const revives = request.beginsAgain === true && found.binding.released;
    const stored = { ...found, binding: revives ? { ...found.binding, released: false } : found.binding };
    if (!this.#stands(stored.binding)) {
      const { set, relayId: id } = stored.binding;
      const gone = { set, id, revision: this.#parts.directory.revisionOf(set, id) };
      return this.#moveTo(stored, request.requestId, request.wish, [gone], 'its relay is gone');
    }
    const ttlSeconds = this.#wantedTtl(stored.binding, request);
    if (revives || !this.#livesFor(stored.binding, ttlSeconds)) return this.#refresh(stored, ttlSeconds);
    return stored;
  }

  async #bind(request: SelectRequest, found: Found | undefined): Promise<WriteOutcome> {
    const { call, set, requestId } = request;
    const { cache, clock } = this.#parts;
    // A call that was bound when last seen is bound still, most likely: a read costs etcd less than a write.
    if (!found && cache.lastKnown(call.key, clock.wallMs())) return asRefused(await this.#read(call));
    const target = this.#choose(set, call, request.wish);
    if (target instanceof HoldfastError) {
      // No relay for a new call; but this one may be bound already.
      const standing = found ?? (await this.#read(call));
      if (!standing.binding) throw target;
      return asRefused(standing);
    }
    const ttlSeconds = request.ttlSeconds ?? this.#settings.setupTtlSeconds;
    const nowMs = clock.wallMs();
    const binding: Binding = {
      call,
      set,
      relayId: target.id,
      instance: target.registered.relay.instance,
      generation: 1,
      requestId,
      createdAtMs: nowMs,
      ttlSeconds,
      expiresAtMs: nowMs + leaseSeconds(ttlSeconds) * 1_000,
      released: false,
    };
    const outcome = await this.#writeTo(target, binding, found?.revision ?? 0, []);
    if (outcome.written) {
      this.counters.bound++;
      this.#parts.log.debug({ callId: call.callId, relay: target.id, generation: 1 }, 'call bound');
    }
    return outcome;
  }

  async #moveTo(
    { binding: old, revision }: StoredBinding,
    requestId: string,
    wish: Wish,
    guards: readonly RelayGuard[],
    reason: string,
  ): Promise<WriteOutcome> {
    const target = this.#choose(old.set, old.call, wish);
    if (target instanceof HoldfastError) throw target;
    const binding: Binding = {
      ...old,
      relayId: target.id,
      instance: target.registered.relay.instance,
      generation: old.generation + 1,
      requestId,
      expiresAtMs: this.#parts.clock.wallMs() + this.#lifetimeSeconds(old) * 1_000,
    };
    const outcome = await this.#writeTo(target, binding, revision, guards);
    if (outcome.written) {
      this.counters.moved++;
      const { callId } = old.call;
      const { generation } = binding;
      this.#parts.log.info({ callId, relay: target.id, from: old.relayId, generation, reason }, 'call moved');
    }
    return outcome;
  }

  async #refresh({ binding, revision }: StoredBinding, ttlSeconds: number): Promise<WriteOutcome> {
    const next = { ...binding, ttlSeconds: Math.max(binding.ttlSeconds, ttlSeconds) };
    const lifetimeSeconds = this.#lifetimeSeconds(next);
    const expiresAtMs = this.#parts.clock.wallMs() + lifetimeSeconds * 1_000;
    const outcome = await this.#write({ ...next, expiresAtMs }, revision, [], lifetimeSeconds);
    if (outcome.written) this.counters.refreshed++;
    return outcome;
  }

  /** The error is returned, not thrown, where the caller may know better than «no relay». */
  #choose(set: string, call: Call, wish: Wish): Candidate | HoldfastError {
    const { placement, clock } = this.#parts;
    try {
      return placement.choose(set, call.key, wish, clock.monotonicMs());
    } catch (error) {
      if (error instanceof HoldfastError) return error;
      throw error;
    }
  }

  /** Writes a binding to a relay that must be registered still as it was seen. */
  async #writeTo(
    target: Candidate,
    binding: Binding,
    expected: number,
    guards: readonly RelayGuard[],
  ): Promise<WriteOutcome> {
    const { relay, revision } = target.registered;
    const all = withGuard(guards, { set: relay.set, id: relay.id, revision });
    let written = false;
    try {
      const outcome = await this.#write(binding, expected, all, this.#lifetimeSeconds(binding));
      written = outcome.written;
      return outcome;
    } finally {
      if (!written) target.unpick();
    }
  }

  async #write(
    binding: Binding,
    expected: number,
    guards: readonly RelayGuard[],
    lifetimeSeconds: number,
  ): Promise<WriteOutcome> {
    const askedAtMs = this.#parts.clock.monotonicMs();
    const outcome = await this.#parts.store.write({ binding, expected, guards, lifetimeSeconds });
    this.#remember(binding.call, outcome.written ? outcome.stored : outcome.found, askedAtMs);
    if (!outcome.written) this.counters.guardFailures++;
    return outcome;
  }

  async #read(call: Call): Promise<Found> {
    const askedAtMs = this.#parts.clock.monotonicMs();
    const found = await this.#parts.store.read(call);
    this.#remember(call, found, askedAtMs);
    return found;
  }

  #remember(call: Call, { binding, revision }: Found, askedAtMs: number): void {
    if (binding) this.#parts.cache.remember({ binding, revision }, askedAtMs);
    else this.#parts.cache.forget(call.key);
  }

  /**
   * Runs `attempt` until it yields something other than a refused write, each time with what the last one found. A
   * relay guard that failed means that this replica's view of the relays is behind: it is listed first.
   */
  async #attempts<R extends Found>(
    begin: Found | undefined,
    attempt: (found: Found | undefined) => Promise<R | WriteOutcome>,
  ): Promise<R> {
    const { clock, directory } = this.#parts;
    const startedAtMs = clock.monotonicMs();
    let found = begin;
    for (let count = 1; ; count++) {
      const isLast = () => count >= maxAttempts || clock.monotonicMs() - startedAtMs > patienceMs;
      try {
        const outcome = await attempt(found);
        if (!('written' in outcome)) return outcome;
        if (outcome.written) return outcome.stored as Found as R;
        found = outcome.found;
        if (!outcome.guardsHeld) await directory.refresh();
        if (isLast())
          throw new HoldfastError(
            'unavailable',
            `the registry changed ${count} times while this was decided`,
          );
      } catch (error) {
        if (isLast() || !isUnavailable(error)) throw error;
        // The outcome is unknown: what was found before proves nothing any more.
        found = undefined;
        await sleep(clock, 20 * 2 ** count * (0.5 + Math.random()));
      }
    }
  }

  #stands({ set, relayId, instance }: Binding): boolean {
    return this.#parts.directory.get(set, relayId)?.relay.instance === instance;
  }

  /** Its relay is there, and it will live as long as this use asks. */
  #isSettled(binding: Binding, request: SelectRequest): boolean {
    if (binding.released && request.beginsAgain === true) return false;
    return this.#stands(binding) && this.#livesFor(binding, this.#wantedTtl(binding, request));
  }

  /** Use does not prolong a released binding: it is as it should be. */
  #livesFor(binding: Binding, ttlSeconds: number): boolean {
    return binding.released || remainingSeconds(binding, this.#parts.clock.wallMs()) >= ttlSeconds;
  }

  #wantedTtl(binding: Binding, request: SelectRequest): number {
    const { setupTtlSeconds, callTtlSeconds } = this.#settings;
    const isFirstUse = originOf(binding, request.requestId) === 'new';
    const wanted = request.ttlSeconds ?? (isFirstUse ? setupTtlSeconds : callTtlSeconds);
    return Math.max(binding.ttlSeconds, wanted);
  }

  #lifetimeSeconds({ released, ttlSeconds }: Binding): number {
    return released ? this.#settings.lingerSeconds : leaseSeconds(ttlSeconds);
  }

  /** While etcd is out of reach, what was last known of the call is better than nothing, if its relay is there. */
  async #orStale<T extends StoredBinding | undefined>(
    call: Call,
    requestId: string,
    ask: () => Promise<T>,
  ): Promise<Answer | (T & undefined)> {
    try {
      const stored = await ask();
      return stored ? this.#answer(stored, requestId, 'fresh') : (stored as T & undefined);
    } catch (error) {
      const known = isOutage(error) && this.#parts.cache.lastKnown(call.key, this.#parts.clock.wallMs());
      if (!known || !this.#stands(known.binding)) throw error;
      return this.#answer(known, requestId, 'stale');
    }
  }

  #answer({ binding }: StoredBinding, requestId: string, freshness: Freshness): Answer {
    const registered = this.#parts.directory.get(binding.set, binding.relayId);
    const relay = registered?.relay.instance === binding.instance ? registered : undefined;
    return { binding, relay, origin: originOf(binding, requestId), freshness };
  }
}
