import type { Binding, BindingVersion, StoredBinding } from '../domain/binding.js';
import { isCarriedPast, isVersionOf } from '../domain/binding.js';
import { type Call, inSet } from '../domain/call.js';
import { HoldfastError } from '../domain/error.js';
import type { Events } from '../domain/events.js';
import type { RegisteredRelay } from '../domain/relay.js';
import type { Placement } from '../placement/placement.js';
import type { RelayConstraints } from '../placement/pool.js';
import type { Found, WriteOutcome } from '../registry/binding-store.js';
import type { Clock } from '../runtime/clock.js';
import { Binder } from './binder.js';
import { BindingWriter, type Tried } from './binding-writer.js';
import type { HistoryLoss } from './cache/binding-cache.js';
import { CachedBindingStore, type CachedBindingStoreDeps } from './cached-store.js';
import { type AdoptOptions, BindingRepair } from './carried/binding-repair.js';
import type { CallFinder } from './carried/call-finder.js';
import type { LookupOptions } from './lookup-options.js';
import { OutageFallback, type WithoutQuorumMode } from './outage/outage-fallback.js';
import { ProvisionalBindings } from './outage/provisional-bindings.js';
import { ProvisionalReconciler } from './outage/provisional-reconciler.js';
import { UsedCalls } from './outage/used-calls.js';
import { newRequestId } from './request-id.js';
import {
  type Answer,
  answerOf,
  isSought,
  type MoveRequest,
  mayBeginAgain,
  type SelectRequest,
} from './requests.js';
import { Retry } from './retry.js';
import type { SelectorSettings, TtlPolicy } from './ttl-policy.js';
import { bound, foundOf } from './write-result.js';

export interface SelectorDeps extends CachedBindingStoreDeps {
  readonly placement: Placement;
  readonly finder: CallFinder;
  readonly ttlPolicy: TtlPolicy;
  readonly events: Events;
}

export interface SelectorOptions extends SelectorSettings {
  readonly withoutQuorum: WithoutQuorumMode;
  /** Most provisional bindings. */
  readonly provisionalEntries: number;
}

/** The one algorithm: which relay carries a call. All fronts ask it; it alone writes bindings. */
export class Selector {
  readonly #ttlPolicy: TtlPolicy;
  readonly #cachedStore: CachedBindingStore;
  readonly #writer: BindingWriter;
  readonly #retry: Retry;
  readonly #provisional: ProvisionalBindings;
  readonly #fallback: OutageFallback;
  readonly #used: UsedCalls;
  readonly #reconciler: ProvisionalReconciler;
  readonly #placement: Placement;
  readonly #clock: Clock;
  readonly repair: BindingRepair;
  readonly #binder: Binder;
  readonly #stopping = new AbortController();

  constructor(deps: SelectorDeps, options: SelectorOptions) {
    const { directory, clock } = deps;
    this.#ttlPolicy = deps.ttlPolicy;
    this.#cachedStore = new CachedBindingStore(deps);
    this.#provisional = new ProvisionalBindings(deps, options.provisionalEntries);
    const shared = { ...deps, cachedStore: this.#cachedStore, provisional: this.#provisional };
    this.#writer = new BindingWriter(shared);
    this.#retry = new Retry(this.#cachedStore, directory, clock);
    this.repair = new BindingRepair({ ...shared, writer: this.#writer, retry: this.#retry });
    this.#binder = new Binder({ ...shared, writer: this.#writer, retry: this.#retry, repair: this.repair });
    const aftermath = {
      ...shared,
      repair: this.repair,
      binder: this.#binder,
      stopping: this.#stopping.signal,
    };
    this.#used = new UsedCalls(aftermath);
    this.#fallback = new OutageFallback({ ...shared, used: this.#used, mode: options.withoutQuorum });
    this.#reconciler = new ProvisionalReconciler(aftermath);
    this.#placement = deps.placement;
    this.#clock = clock;
  }

  /** Ends the work that follows an outage, however far it is. */
  stop(): void {
    this.#stopping.abort();
  }

  /** Since the start, for metrics. */
  get counters() {
    return {
      ...this.#writer.counters,
      ...this.#cachedStore.counters,
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
    const { call, requestId } = request;
    const fresh = this.#cachedStore.fresh(call);
    if (fresh && mayBeginAgain(fresh.binding, request)) {
      return this.#selectAsking(request, undefined);
    }
    const relay = fresh && this.#ttlPolicy.relayOf(fresh.binding);
    return relay && this.#ttlPolicy.suffices(fresh.binding, request)
      ? answerOf(fresh.binding, relay, requestId, 'fresh')
      : this.#selectAsking(request, fresh);
  }

  async #selectAsking(request: SelectRequest, fresh: StoredBinding | undefined): Promise<Answer> {
    const { call, requestId } = request;
    const tried: Tried = {};
    try {
      this.#fallback.assertNotSuspect(call);
      const { binding } = await this.#binder.bind(request, fresh, tried);
      return this.#answer(binding, requestId);
    } catch (error) {
      const carrier = isSought(request)
        ? await this.repair.carrierInOutage(call, error, 'answered')
        : undefined;
      return carrier
        ? this.#fallback.select({ ...request, inDialog: true }, error, { carrier })
        : this.#fallback.select(request, error, { tried: tried.relay });
    }
  }

  /**
   * The relay of the call if it is bound, or was promised without etcd; undefined if not. Binds nothing, but for a call that is
   * found on a relay where `adopts` says so.
   * @throws HoldfastError `unavailable`, `overloaded`, `no-relay`
   */
  async lookup(call: Call, options: LookupOptions = {}): Promise<Answer | undefined> {
    try {
      this.#fallback.assertNotSuspect(call);
      const fresh = options.current ? undefined : this.#cachedStore.fresh(call);
      const found = fresh ? undefined : await this.#cachedStore.read(call);
      const stored = fresh ?? (found && bound(found));
      const promised = this.#provisional.get(call);
      if (promised && (!stored || isCarriedPast(promised, stored.binding))) {
        return answerOf(promised, this.#ttlPolicy.relayOf(promised), '', 'provisional');
      }
      if (stored) {
        const successor = options.adopts ? await this.repair.successorOf(stored.binding) : undefined;
        if (successor) {
          return this.adopt(call, successor);
        }
        const isDenied = options.deniedBy === stored.binding.instance;
        const elsewhere = isDenied ? await this.repair.carrierElsewhere(stored.binding, isDenied) : undefined;
        return elsewhere
          ? this.adopt(call, elsewhere, { duringSetup: true })
          : this.#answer(stored.binding, '');
      }
      const { isReplaced } = this.#cachedStore;
      const survivor = isReplaced ? this.#cachedStore.survivor(call)?.binding : undefined;
      const lastRelay = survivor && this.#ttlPolicy.relayOf(survivor);
      if (lastRelay) {
        return answerOf(survivor, lastRelay, '', 'stale');
      }
      const carrier = options.adopts ? await this.repair.find(call) : undefined;
      if (!options.adopts && isReplaced) {
        throw new HoldfastError('unavailable', 'what etcd has lost is being written again; ask again');
      }
      return carrier && (await this.adopt(call, carrier));
    } catch (error) {
      const carrier = options.adopts ? await this.repair.carrierInOutage(call, error) : undefined;
      if (carrier && options.isUse) {
        this.#used.note({ call: inSet(call, carrier.relay.set), inDialog: true });
      }
      return this.#fallback.find(call, error, options.predicts ? options : undefined, carrier);
    }
  }

  /** The call on the relay that says that it carries it, while etcd says nothing; undefined if no relay says so. */
  async located(call: Call): Promise<Answer | undefined> {
    const carrier = await this.repair.find(call);
    return carrier && this.#fallback.located(call, carrier);
  }

  /** The binding as it was last seen or promised here. Another replica may have changed it since. */
  remembered(call: Call): Binding | undefined {
    return this.#provisional.get(call) ?? this.#cachedStore.lastKnown(call)?.binding;
  }

  /**
   * The call is in progress: it moves only if its relay's instance is gone, and lives the TTL of calls from now on.
   * @param version that was answered; the call may have begun anew since
   * @param isLate it was answered some time ago, and what was released since stays so
   * @returns undefined if there is no such binding
   * @throws HoldfastError `unavailable`, `overloaded`
   */
  async answered(call: Call, version: BindingVersion, isLate = false): Promise<Answer | undefined> {
    const { callTtlSeconds } = this.#ttlPolicy.settings;
    const isOver = ({ state }: Binding) => isLate && state === 'released';
    return this.#updated(call, version, ({ binding }) =>
      !isOver(binding) && (binding.state !== 'answered' || !this.#ttlPolicy.livesFor(binding, callTtlSeconds))
        ? (stored) => this.#writer.answer(stored)
        : undefined,
    );
  }

  /**
   * The relay still carries the call: its binding lives at least its TTL from now.
   * @throws HoldfastError `unavailable`, `overloaded`
   */
  async renew({ call, ...version }: Pick<Binding, 'call' | 'generation' | 'beginning'>): Promise<void> {
    await this.#updated(call, version, ({ binding }) =>
      this.#ttlPolicy.livesFor(binding, binding.ttlSeconds)
        ? undefined
        : (stored) => this.#writer.renew(stored, binding.ttlSeconds),
    );
  }

  /**
   * Binds the call to another relay.
   * @throws HoldfastError `not-found`, `failed-precondition`, `relays-full`, `no-relay`, `unavailable`, `overloaded`
   */
  async move(request: MoveRequest): Promise<Answer> {
    const { call, generation, requestId, reason, by } = request;
    await this.#reconciler.reconcile(call);
    const stored = await this.#retry.run<StoredBinding>(undefined, async (seen) => {
      const found = bound(seen ?? (await this.repair.read(call)));
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
          { metadata: { generation: `${binding.generation}` } },
        );
      }
      if (request.inSetupOnly && binding.state !== 'setup') {
        throw new HoldfastError('failed-precondition', `call ${call.callId} is ${binding.state}`);
      }
      if (request.deadlineMs !== undefined && this.#clock.monotonicMs() > request.deadlineMs) {
        throw new HoldfastError('failed-precondition', `it is too late to move call ${call.callId}`);
      }
      const excluded = this.#ttlPolicy.relayOf(binding)
        ? [...(request.constraints.excluded ?? []), binding.relayId]
        : request.constraints.excluded;
      const constraints = { ...request.constraints, excluded };
      return this.#writer.move(found, { requestId, reason, by }, constraints, []);
    });
    return this.#answer(stored.binding, requestId);
  }

  /**
   * The call has ended: its binding stays for a linger, and use does not prolong it.
   * @param version that has ended, if not whatever there is
   * @returns false if there was no binding
   * @throws HoldfastError `unavailable`, `overloaded`
   */
  async release(call: Call, version?: BindingVersion): Promise<boolean> {
    this.#used.forget(call);
    try {
      const answer = await this.#updated(
        call,
        version,
        ({ binding }) =>
          binding.state === 'released' ? undefined : (stored) => this.#writer.release(stored),
        (outdated, generation) => this.#writer.releaseAt(outdated, generation),
      );
      return answer !== undefined;
    } catch (error) {
      return this.#fallback.release(call, version, error);
    }
  }

  /**
   * Binds the call to the relay that carries it, unless it is bound to one that is registered.
   * @throws HoldfastError `unavailable`, `overloaded`
   */
  async adopt(call: Call, relay: RegisteredRelay, options?: AdoptOptions): Promise<Answer> {
    const requestId = newRequestId();
    return this.#answer((await this.repair.adopt(call, relay, requestId, options)).binding, requestId);
  }

  /**
   * A relay for a call that has no name yet. Binds nothing.
   * @throws HoldfastError `relays-full`, `no-relay`
   */
  place(set: string, constraints: RelayConstraints): RegisteredRelay {
    const nowMs = this.#clock.monotonicMs();
    const reservation = this.#placement.choose(set, newRequestId(), constraints, nowMs);
    // It counts when the call is bound, if one comes of it.
    reservation.cancel();
    return reservation.registered;
  }

  /**
   * Calls that are bound to this instance of a relay, and have notices; released ones left out.
   * @throws HoldfastError `unavailable`
   */
  async *withNotices(instance: string): AsyncGenerator<Binding> {
    for await (const { binding } of this.#cachedStore.list()) {
      if (binding.instance === instance && binding.notices.length > 0 && binding.state !== 'released') {
        yield binding;
      }
    }
  }

  /**
   * Notices of a call that is still bound to a relay that is gone. Of all replicas that take them one gets them.
   * @throws HoldfastError `unavailable` (they may be taken), `overloaded`
   */
  async takeNotices({ call, instance, ...version }: Binding): Promise<readonly string[]> {
    let notices: readonly string[] = [];
    let maybeTaken = notices;
    const answer = await this.#updated(call, version, ({ binding }) => {
      const isLost = binding.instance === instance && this.#ttlPolicy.relayOf(binding) === undefined;
      notices = isLost && binding.state !== 'released' ? binding.notices : [];
      const take = (stored: StoredBinding) =>
        this.#writer.takeNotices(stored).catch((error: unknown) => {
          // If they are gone next time, it may have been this attempt.
          maybeTaken = stored.binding.notices;
          throw error;
        });
      return notices.length > 0 ? take : undefined;
    });
    return answer && notices.length > 0 ? notices : maybeTaken;
  }

  /** etcd answers again: what was promised meanwhile is bound. Resolves when that is done, or etcd is lost again. */
  reconcile(): Promise<void> {
    return this.#reconciler.reconcileAll();
  }

  /** etcd has what replicas remember: what was used while it was away goes on. Resolves as `reconcile` does. */
  goOn(): Promise<void> {
    return this.#used.goOn();
  }

  /** Bindings may be gone from etcd. */
  beginHistory(loss: HistoryLoss): void {
    this.#cachedStore.beginHistory(loss);
  }

  /**
   * What is found of the call, after a write where `writeOf` has one for the binding.
   * @param writeOutdated for a state that the call has left behind, with a generation that it has not; else that is none
   */
  async #updated(
    call: Call,
    version: BindingVersion | undefined,
    writeOf: (stored: StoredBinding) => ((stored: StoredBinding) => Promise<WriteOutcome>) | undefined,
    writeOutdated?: (outdated: StoredBinding, generation: number) => Promise<WriteOutcome>,
  ): Promise<Answer | undefined> {
    this.#fallback.assertNotSuspect(call);
    await this.#reconciler.reconcile(call);
    const fresh = this.#cachedStore.fresh(call);
    // Another version than the one that was meant may be the one before it: of beginnings caches hear a little later.
    const begin = fresh && version && !isVersionOf(fresh.binding, version) ? undefined : fresh;
    const found = await this.#retry.run<Found | StoredBinding>(begin && foundOf(begin), async (seen) => {
      const found = seen ?? (await this.repair.read(call));
      const stored = bound(found);
      if (stored && (!version || isVersionOf(stored.binding, version))) {
        return writeOf(stored)?.(stored) ?? found;
      }
      const { outdated, revision } = found;
      const isThatCall = outdated && (!version || outdated.beginning === version.beginning);
      return isThatCall && writeOutdated
        ? writeOutdated({ binding: outdated, revision }, this.#cachedStore.nextGeneration(found))
        : { ...found, binding: undefined };
    });
    return found.binding && this.#answer(found.binding, '');
  }

  #answer(binding: Binding, requestId: string): Answer {
    return answerOf(binding, this.#ttlPolicy.relayOf(binding), requestId, 'fresh');
  }
}
