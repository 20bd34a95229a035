import {
  type Binding,
  hasBegunAfter,
  isAhead,
  isCarriedPast,
  isEndOf,
  maxMoves,
  type StoredBinding,
} from '../../domain/binding.js';
import { type Call, inSet } from '../../domain/call.js';
import { HoldfastError } from '../../domain/error.js';
import type { RegisteredRelay } from '../../domain/relay.js';
import type { Found } from '../../registry/binding-store.js';
import type { Clock } from '../../runtime/clock.js';
import type { BindingWriter } from '../binding-writer.js';
import type { CachedBindingStore } from '../cached-store.js';
import type { ProvisionalBindings } from '../outage/provisional-bindings.js';
import { newRequestId } from '../request-id.js';
import { isSought, type SelectRequest } from '../requests.js';
import type { Retry } from '../retry.js';
import type { TtlPolicy } from '../ttl-policy.js';
import { bound, isOutage } from '../write-result.js';
import type { CallFinder, Place, PlaceHints } from './call-finder.js';
import type { RestoredBindings } from './restored-bindings.js';

export interface BindingRepairDeps {
  readonly cachedStore: CachedBindingStore;
  readonly writer: BindingWriter;
  readonly retry: Retry;
  readonly finder: CallFinder;
  readonly ttlPolicy: TtlPolicy;
  readonly restored: RestoredBindings;
  readonly provisional: ProvisionalBindings;
  readonly clock: Clock;
}

export interface AdoptOptions {
  /** Also if it is being set up on another one: this one has accepted the answer. */
  readonly duringSetup?: boolean;
}

/** Makes etcd say of a call what is so, by what relays carry and this replica remembers. */
export class BindingRepair {
  readonly #deps: BindingRepairDeps;

  constructor(deps: BindingRepairDeps) {
    this.#deps = deps;
  }

  /**
   * What etcd has of the call, once it has what this replica remembers of it.
   * @throws HoldfastError `unavailable`, `overloaded`
   */
  async read(call: Call): Promise<Found> {
    const { cachedStore } = this.#deps;
    const found = await cachedStore.read(call);
    if (found.binding) {
      return found;
    }
    await this.forgetIfEnded(call);
    const survivor = cachedStore.survivor(call);
    // An older state is no longer behind anything once the later one is forgotten.
    const isOther = survivor ? await this.reassert(survivor) : found.outdated !== undefined;
    return isOther ? cachedStore.read(call) : found;
  }

  /**
   * An answered call that etcd has lost and its relay does not know has ended: this replica did not hear of its release.
   * @param isInProgress it is asked for as such: then it was answered, though this replica remembers no more than its setup
   */
  async forgetIfEnded(call: Call, isInProgress = false): Promise<void> {
    const { cachedStore, ttlPolicy, finder } = this.#deps;
    const remembered = cachedStore.survivor(call)?.binding;
    const wasAnswered = remembered?.state === 'answered' || (remembered?.state === 'setup' && isInProgress);
    const relay = wasAnswered ? ttlPolicy.relayOf(remembered) : undefined;
    if (remembered && relay && (await finder.on(relay, remembered.call)) === false) {
      cachedStore.forget(remembered.call);
    }
  }

  /** Where etcd does not know the call, relays are asked for it before it is placed. */
  isSearchedFor(request: SelectRequest): boolean {
    const { cachedStore, provisional } = this.#deps;
    if (cachedStore.survivor(request.call)) {
      return false;
    }
    // A promise for the setup is no more than where this replica would have had it; another one may have been answered.
    const promised = provisional.get(request.call)?.state;
    const isSoughtFor = promised === 'setup' || (isSought(request) && promised !== 'answered');
    return cachedStore.wasAway || isSoughtFor;
  }

  /**
   * The relay that carries the call, where that is another one than etcd and this replica's promise say: etcd does not know a
   * call that it may have known, or it is being set up elsewhere than where it was promised and answered, be it by another
   * replica, which may be gone.
   * @throws HoldfastError `relay-awaited` just after etcd has lost calls, where this may be one that a relay has not told of
   */
  async carrierOf(request: SelectRequest, found: Found): Promise<RegisteredRelay | undefined> {
    const { binding, missing } = found;
    const last = binding ? await this.successorOf(binding) : missing && (await this.#stillOn(missing));
    if (last) {
      return last;
    }
    const promised = this.#deps.provisional.get(request.call);
    const isLeft = binding !== undefined && this.#wasLeft(binding, request);
    const isApart =
      binding?.state === 'setup' && promised !== undefined && promised.instance !== binding.instance;
    const isLost = !binding && this.#mayBeLost(request, found);
    if (!isLeft && !isApart && !isLost) {
      const isUnheard = binding && !promised && isSought(request);
      return isUnheard ? this.carrierElsewhere(binding) : undefined;
    }
    // What was to be set up here counts for as much as an offer elsewhere.
    const answered = promised?.state === 'setup' && (isApart || !isSought(request));
    const place = await this.#place(request.call, { answered });
    const { isRebuilding, wasAway } = this.#deps.cachedStore;
    // At other times it is a new call, most likely.
    const isAwaited = isRebuilding || (isApart && wasAway);
    if (!place && !answered && isSought(request) && isAwaited) {
      throw new HoldfastError(
        'relay-awaited',
        `call ${request.call.callId} is unknown, and relays have not said whether they carry it; ask again`,
        { metadata: { set: request.call.set } },
      );
    }
    const carrier = place === 'nowhere' ? undefined : place;
    if (!carrier || isLeft) {
      return carrier;
    }
    if (isApart) {
      // Over a relay that is there the promise alone counts: others may have a session left of an offer that went on.
      const counts = answered || carrier.relay.instance === promised.instance;
      return counts && carrier.relay.instance !== binding.instance ? carrier : undefined;
    }
    return carrier.relay.instance === promised?.instance ? undefined : carrier;
  }

  /** The relay of a binding that etcd ought to have, if it carries the call still. */
  async #stillOn(missing: Binding): Promise<RegisteredRelay | undefined> {
    const relay = this.#deps.ttlPolicy.relayOf(missing);
    return relay && (await this.#deps.finder.on(relay, missing.call)) ? relay : undefined;
  }

  /**
   * The relay of the call, restarted, if it carries the call again: it may have been offered it before its restart was known.
   */
  async successorOf(binding: Binding): Promise<RegisteredRelay | undefined> {
    const { ttlPolicy, finder } = this.#deps;
    const successor = binding.state === 'released' ? undefined : ttlPolicy.successorOf(binding);
    return successor && (await finder.on(successor, binding.call)) ? successor : undefined;
  }

  /**
   * The relay that carries a call in progress, where etcd has it as being set up on another one: a replica that was cut off from
   * etcd may have promised it, and be gone since.
   * @param isDenied the relay that etcd has of it says that it does not know the call; else it is asked
   */
  async carrierElsewhere(binding: Binding, isDenied = false): Promise<RegisteredRelay | undefined> {
    const { ttlPolicy, finder } = this.#deps;
    const relay = binding.state === 'setup' ? ttlPolicy.relayOf(binding) : undefined;
    const isAsked = relay && !isDenied && !finder.isSilent(relay);
    const isElsewhere = isAsked ? (await finder.on(relay, binding.call)) === false : isDenied;
    if (!relay || !isElsewhere) {
      return undefined;
    }
    const place = await this.#place(binding.call);
    return place === 'nowhere' || place?.relay.instance === binding.instance ? undefined : place;
  }

  /**
   * A call in progress that etcd has as released, and that its relay carries: it began again where the release was not known,
   * at a replica without etcd.
   */
  async goesOn(
    { call, inDialog }: Pick<SelectRequest, 'call' | 'inDialog'>,
    { binding }: Found,
  ): Promise<boolean> {
    if (binding?.state !== 'released' || inDialog !== true) {
      return false;
    }
    const place = await this.#place(call);
    return place !== undefined && place !== 'nowhere' && place.relay.instance === binding.instance;
  }

  /** A key without a binding that counts: the call was elsewhere before etcd was restored. */
  #mayBeLost(request: SelectRequest, { revision }: Found): boolean {
    return revision > 0 || this.isSearchedFor(request);
  }

  /** The call is in progress, though it was not answered on the relay that it is bound to, and that is gone. */
  #wasLeft(binding: Binding, request: SelectRequest): boolean {
    return binding.state === 'setup' && isSought(request) && !this.#deps.ttlPolicy.relayOf(binding);
  }

  /**
   * The relay that carries a call which etcd does not know, or does not know any more.
   * @returns undefined also where that is not known
   */
  async find(call: Call): Promise<RegisteredRelay | undefined> {
    const place = await this.#place(call);
    return place === 'nowhere' ? undefined : place;
  }

  /**
   * The relay that carries a call of which this replica knows nothing, while etcd cannot be asked.
   * @param atLeast a promise of this state counts: one for the setup may be what another replica went past
   */
  async carrierInOutage(
    call: Call,
    error: unknown,
    atLeast: 'setup' | 'answered' = 'setup',
  ): Promise<RegisteredRelay | undefined> {
    const { cachedStore } = this.#deps;
    const promised = this.#deps.provisional.get(call);
    const isPromised = promised && (atLeast === 'setup' || promised.state === 'answered');
    const isKnown = isPromised || cachedStore.lastKnown(call);
    const isSearchedFor = !isKnown && isOutage(error) && cachedStore.lost;
    return isSearchedFor ? this.find(call) : undefined;
  }

  #place(call: Call, hints: Pick<PlaceHints, 'answered'> = {}): Promise<Place> {
    const { finder, cachedStore, provisional } = this.#deps;
    const promise = provisional.get(call);
    const answered = promise?.state === 'answered' ? promise.relayId : undefined;
    const likeliest = cachedStore.lostMove(call)?.relayId ?? answered;
    return finder.find(call, { ...hints, likeliest, promised: promise?.relayId });
  }

  /**
   * Binds the call to the relay that carries it, unless it is bound to one that is registered. In the set of that relay,
   * if the call names none.
   * @throws HoldfastError `unavailable`, `overloaded`
   */
  adopt(
    call: Call,
    relay: RegisteredRelay,
    requestId = newRequestId(),
    { duringSetup = false }: AdoptOptions = {},
  ): Promise<StoredBinding> {
    const { cachedStore, writer, retry, ttlPolicy } = this.#deps;
    const own = inSet(call, relay.relay.set);
    return retry.run<StoredBinding>(undefined, async (seen) => {
      const found = seen ?? (await cachedStore.read(own));
      const known = bound(found);
      const isElsewhere = known?.binding.instance !== relay.relay.instance;
      const isOpen = duringSetup && isElsewhere && known?.binding.state === 'setup';
      // It has ended since; its relay may have been told to wait before it ends it.
      const isOver = known?.binding.state === 'released';
      const isSettled = known && (isOver || (ttlPolicy.relayOf(known.binding) && !isOpen));
      if (isSettled) {
        return known;
      }
      // etcd has lost it, or has an older state: the call is still the one that it was.
      const missing = found.missing && { binding: found.missing, revision: found.revision };
      const survivor = known ? undefined : (cachedStore.survivor(own) ?? missing);
      const isThatOne =
        survivor?.binding.instance === relay.relay.instance && survivor.binding.state !== 'released';
      return isThatOne ? writer.reassert(survivor, found, relay) : writer.adopt(found, relay, requestId);
    });
  }

  /**
   * Writes a binding that this replica remembers and etcd has lost, or has an older state of.
   * @param isCarried its relay says that it carries the call: then also over one that another replica, which did not know the
   *   call, has begun to set up elsewhere since
   * @returns whether etcd has it now
   * @throws HoldfastError `unavailable`, `overloaded`
   */
  async reassert(remembered: StoredBinding, isCarried = false): Promise<boolean> {
    const { cachedStore, writer, retry, ttlPolicy, provisional } = this.#deps;
    const { call } = remembered.binding;
    // It has begun again here, without etcd.
    if (remembered.binding.state === 'released' && provisional.get(call)) {
      return true;
    }
    const stored = await retry.run<StoredBinding | typeof missing>(undefined, async (seen) => {
      const found = seen ?? (await cachedStore.read(call));
      const stored = bound(found);
      const relay = ttlPolicy.relayOf(remembered.binding);
      if (stored && !isAhead(remembered.binding, stored.binding)) {
        const isLeft = hasBegunAfter(stored.binding, remembered.binding);
        // It had ended before another replica, which did not hear of that, moved what etcd was restored with.
        if (isEndOf(remembered.binding, stored.binding)) {
          return writer.release(stored);
        }
        return isCarried && relay && !isLeft && isCarriedPast(remembered.binding, stored.binding)
          ? writer.reassert({ ...remembered, binding: this.#over(remembered, stored) }, found, relay)
          : stored;
      }
      if (remembered.binding.state === 'released') {
        // A call that has ended, and of which nothing is left, is as it should be; and its end needs no relay.
        return found.revision === 0 ? remembered : writer.reassert(remembered, found, relay);
      }
      return relay ? writer.reassert(remembered, found, relay) : missing;
    });
    return stored !== missing;
  }

  /** The remembered binding, as a move of the call from where it is being set up. */
  #over({ binding }: StoredBinding, { binding: { relayId: from, generation } }: StoredBinding): Binding {
    const move = { atMs: this.#deps.clock.wallMs(), from, reason: 'found there', by: 'selection' };
    const moves = [...binding.moves, move].slice(-maxMoves);
    return { ...binding, generation: generation + 1, requestId: newRequestId(), moves };
  }

  /**
   * Corrects a binding that etcd has from before it was restored: the call may be on another relay, or have ended.
   * @param locate says which relay carries a call that has left what etcd has of it; undefined if that is not known
   * @returns whether etcd says now what is so; false if relays have not said
   * @throws HoldfastError `unavailable`, `overloaded`
   */
  async correct(
    { binding: { call } }: StoredBinding,
    locate: (call: Call) => Promise<Place>,
  ): Promise<boolean> {
    const { cachedStore, writer, retry, restored } = this.#deps;
    let isOpen = false;
    const corrected = await retry.run<Found | StoredBinding>(undefined, async (seen) => {
      const found = seen ?? (await cachedStore.read(call));
      // Relays are asked for what is remembered before that is written again.
      isOpen = !found.binding && cachedStore.survivor(call) !== undefined;
      if (isOpen) {
        return found;
      }
      const stored = bound(found);
      if (stored) {
        return stored.binding.state === 'released' && !seen ? writer.release(stored) : found;
      }
      if (!found.outdated) {
        return found;
      }
      const place = await locate(call);
      if (place === 'nowhere') {
        const outdated = { binding: found.outdated, revision: found.revision };
        return writer.releaseAt(outdated, cachedStore.nextGeneration(found));
      }
      isOpen = place === undefined;
      return place ? this.adopt(call, place) : found;
    });
    const { binding, revision } = corrected;
    return !isOpen && (!binding || !restored.isOpen({ binding, revision }));
  }
}

/** Nothing was written: the relay is not registered. */
const missing = { binding: undefined, revision: 0 } as const;
