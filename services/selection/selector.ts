import type { Binding, StoredBinding } from '../domain/binding.js';
import type { Call } from '../domain/call.js';
import { HoldfastError } from '../domain/error.js';
import type { Placement } from '../placement/placement.js';
import type { Found, WriteOutcome } from '../registry/binding-store.js';
import type { Logger } from '../runtime/log.js';
import { BindingWriter, type Tried } from './binding-writer.js';
import { CachedBindingStore, type CachedBindingStoreDeps } from './cached-store.js';
import { OutageFallback, type Prediction, type WithoutQuorumMode } from './outage/outage-fallback.js';
import { ProvisionalBindings } from './outage/provisional-bindings.js';
import { ProvisionalReconciler } from './outage/provisional-reconciler.js';
import { type Answer, answerOf, type MoveRequest, type SelectRequest } from './requests.js';
import { Retry } from './retry.js';
import { type SelectorSettings, TtlPolicy } from './ttl-policy.js';
import { asksAlike, bound, isOutage } from './write-result.js';

export interface SelectorDeps extends CachedBindingStoreDeps {
  readonly placement: Placement;
  readonly withoutQuorum: WithoutQuorumMode;
  /** Most provisional bindings. */
  readonly provisionalEntries: number;
  readonly log: Logger;
}

/** A call whose binding is being settled. */
interface Settling {
  readonly request: SelectRequest;
  readonly settled: Promise<StoredBinding>;
  readonly tried: Tried;
}

/** The one algorithm: which relay carries a call. All fronts ask it; it alone writes bindings. */
export class Selector {
  readonly #ttlPolicy: TtlPolicy;
  readonly #cachedStore: CachedBindingStore;
  readonly #steps: BindingWriter;
  readonly #attempts: Retry;
  readonly #provisional: ProvisionalBindings;
  readonly #fallback: OutageFallback;
  readonly #claims: ProvisionalReconciler;
  /** Concurrent requests for one call share the work. */
  readonly #settling = new Map<string, Settling>();

  constructor(deps: SelectorDeps, settings: SelectorSettings) {
    const { directory, clock } = deps;
    this.#ttlPolicy = new TtlPolicy(settings, directory, clock);
    this.#cachedStore = new CachedBindingStore(deps);
    this.#provisional = new ProvisionalBindings(deps.provisionalEntries, clock);
    const shared = {
      ...deps,
      cachedStore: this.#cachedStore,
      ttlPolicy: this.#ttlPolicy,
      provisional: this.#provisional,
    };
    this.#steps = new BindingWriter(shared);
    this.#attempts = new Retry(this.#cachedStore, directory, clock);
    this.#fallback = new OutageFallback({ ...shared, mode: deps.withoutQuorum });
    this.#claims = new ProvisionalReconciler({
      ...shared,
      settle: (request) => this.#settle(request, undefined),
    });
  }

  /** Since the start, for metrics. */
  get counters() {
    return {
      ...this.#steps.counters,
      ...this.#cachedStore.counters,
      ...this.#claims.counters,
      ...this.#provisional.counters,
    };
  }

  /** Calls that were given a relay without quorum and are not bound yet. */
  get provisionalBindings(): number {
    return this.#provisional.size;
  }

  /**
   * The relay of the call: bound before, or bound now. At once, where nothing has to be asked or written for it.
   * @throws HoldfastError `relays-full`, `no-relay`, `unavailable`, `overloaded`; never before it returns
   */
  select(request: SelectRequest): Answer | Promise<Answer> {
    const { call, requestId, reopen } = request;
    // Where a call begins again, another replica may have released it unheard; what lingers is not to be given to a
    // call that is to last.
    const fresh = reopen ? undefined : this.#cachedStore.fresh(call);
    const relay = fresh && this.#ttlPolicy.relayOf(fresh.binding);
    return relay && this.#ttlPolicy.suffices(fresh.binding, request)
      ? answerOf(fresh.binding, relay, requestId, 'fresh')
      : this.#selectAsking(request, fresh);
  }

  async #selectAsking(request: SelectRequest, fresh: StoredBinding | undefined): Promise<Answer> {
    const { call, requestId } = request;
    let settling: Settling | undefined;
    try {
      this.#fallback.assertNotSuspect(call);
      const settled = this.#settle(request, fresh);
      settling = this.#settling.get(call.key);
      return this.#answer((await settled).binding, requestId);
    } catch (error) {
      return this.#fallback.select(request, error, settling?.tried.relay);
    }
  }

  /**
   * The relay of the call if it is bound; undefined if not. Writes nothing.
   * @param presumption where the call is looked for without quorum, if nothing is known of it
   * @throws HoldfastError `unavailable`, `overloaded`, `no-relay`
   */
  async lookup(call: Call, prediction?: Prediction): Promise<Answer | undefined> {
    try {
      const stored = await this.#known(call, async (seen) => seen ?? this.#cachedStore.read(call));
      return stored && this.#answer(stored.binding, '');
    } catch (error) {
      return this.#fallback.find(call, error, prediction);
    }
  }

  /**
   * The same, and the binding lives at least `ttlSeconds` from now. Neither binds nor moves.
   * @param set as for `lookup`
   * @throws HoldfastError `unavailable`, `overloaded`, `no-relay`
   */
  async prolong(call: Call, ttlSeconds: number, set?: string): Promise<Answer | undefined> {
    try {
      const stored = await this.#known(call, (begin) =>
        this.#change(call, begin, (standing) =>
          this.#ttlPolicy.livesFor(standing.binding, ttlSeconds)
            ? undefined
            : this.#steps.refresh(standing, ttlSeconds),
        ),
      );
      return stored && this.#answer(stored.binding, '');
    } catch (error) {
      const prediction = set === undefined ? undefined : { set, keepSeconds: ttlSeconds };
      return this.#fallback.find(call, error, prediction);
    }
  }

  /**
   * Binds the call to another relay.
   * @throws HoldfastError `not-found`, `failed-precondition`, `relays-full`, `no-relay`, `unavailable`, `overloaded`
   */
  async move(request: MoveRequest): Promise<Answer> {
    const { call, generation, requestId } = request;
    await this.#claims.claim(call);
    const stored = await this.#attempts.run<StoredBinding>(undefined, async (seen) => {
      const found = bound(seen ?? (await this.#cachedStore.read(call)));
      if (!found) {
        throw new HoldfastError('not-found', `call ${call.callId} has no binding`);
      }
      const { binding } = found;
      // An earlier try of this very request has done it.
      if (binding.generation === generation + 1 && binding.requestId === requestId) {
        return found;
      }
      if (binding.generation !== generation) {
        throw new HoldfastError(
          'failed-precondition',
          `generation: call ${call.callId} is at generation ${binding.generation}, not ${generation}`,
        );
      }
      const excluded = this.#ttlPolicy.relayOf(binding)
        ? [...(request.constraints.excluded ?? []), binding.relayId]
        : request.constraints.excluded;
      const constraints = { ...request.constraints, excluded };
      return this.#steps.move(found, requestId, constraints, [], request.reason);
    });
    return this.#answer(stored.binding, requestId);
  }

  /**
   * The call has ended: its binding stays for a linger, and use does not prolong it.
   * @returns false if there was no binding
   * @throws HoldfastError `unavailable`, `overloaded`
   */
  async release(call: Call): Promise<boolean> {
    try {
      const stored = await this.#known(call, (begin) =>
        this.#change(call, begin, (standing) =>
          standing.binding.released ? undefined : this.#steps.release(standing),
        ),
      );
      return stored !== undefined;
    } catch (error) {
      return this.#fallback.release(call, error);
    }
  }

  /** etcd answers again: what was promised meanwhile is bound. Resolves when that is done, or etcd is lost again. */
  claim(): Promise<void> {
    return this.#claims.reconcileAll();
  }

  /** What is known of the call, or what `ask` finds. What was promised to it is claimed first. */
  async #known(
    call: Call,
    ask: (fresh: StoredBinding | undefined) => Promise<Found>,
  ): Promise<StoredBinding | undefined> {
    this.#fallback.assertNotSuspect(call);
    await this.#claims.claim(call);
    return bound(await ask(this.#cachedStore.fresh(call)));
  }

  /** What is found of the call, after `step` where it is bound and the step has something to write. */
  #change(
    call: Call,
    begin: Found | undefined,
    step: (standing: StoredBinding) => Promise<WriteOutcome> | undefined,
  ): Promise<Found> {
    return this.#attempts.run<Found>(begin, async (seen) => {
      const found = seen ?? (await this.#cachedStore.read(call));
      const standing = bound(found);
      return (standing && step(standing)) ?? found;
    });
  }

  #settle(request: SelectRequest, fresh: StoredBinding | undefined): Promise<StoredBinding> {
    const { key } = request.call;
    const underWay = this.#settling.get(key);
    // What another request settles may not live as long as this one asks: then this one has its own turn.
    if (underWay) {
      return underWay.settled.then(
        (stored) => (this.#isSettled(stored.binding, request) ? stored : this.#settle(request, stored)),
        (error) => {
          // No relay for the other request may be no answer to this one.
          if (isOutage(error) || asksAlike(underWay.request, request)) {
            throw error;
          }
          return this.#settle(request, undefined);
        },
      );
    }
    const tried: Tried = {};
    const settled = this.#settleAlone(request, fresh, tried);
    this.#settling.set(key, { request, settled, tried });
    return settled;
  }

  async #settleAlone(
    request: SelectRequest,
    fresh: StoredBinding | undefined,
    tried: Tried,
  ): Promise<StoredBinding> {
    try {
      const stored = await this.#attempts.run<StoredBinding>(fresh, (found) =>
        this.#steps.settle(request, found, tried),
      );
      this.#claims.settled(stored);
      return stored;
    } finally {
      this.#settling.delete(request.call.key);
    }
  }

  #isSettled(binding: Binding, request: SelectRequest): boolean {
    return this.#ttlPolicy.relayOf(binding) !== undefined && this.#ttlPolicy.suffices(binding, request);
  }

  #answer(binding: Binding, requestId: string): Answer {
    return answerOf(binding, this.#ttlPolicy.relayOf(binding), requestId, 'fresh');
  }
}
