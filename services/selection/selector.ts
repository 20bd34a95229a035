import type { Binding, StoredBinding } from '../domain/binding.js';
import type { Call } from '../domain/call.js';
import { HoldfastError } from '../domain/error.js';
import type { Placement } from '../placement/placement.js';
import type { Found, WriteOutcome } from '../registry/binding-store.js';
import type { Logger } from '../runtime/log.js';
import { Attempts } from './attempts.js';
import { Claims } from './claims.js';
import { Ledger, type LedgerParts } from './ledger.js';
import { asksAlike, bound, isOutage } from './outcome.js';
import { ProvisionalBindings } from './provisional-bindings.js';
import { type Answer, answerOf, type MoveRequest, type SelectRequest } from './question.js';
import { Steps, type Tried } from './steps.js';
import { type SelectorSettings, Terms } from './terms.js';
import { type Presumption, WithoutQuorum, type WithoutQuorumMode } from './without-quorum.js';

export interface SelectorParts extends LedgerParts {
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
  readonly #terms: Terms;
  readonly #ledger: Ledger;
  readonly #steps: Steps;
  readonly #attempts: Attempts;
  readonly #provisional: ProvisionalBindings;
  readonly #without: WithoutQuorum;
  readonly #claims: Claims;
  /** Concurrent requests for one call share the work. */
  readonly #settling = new Map<string, Settling>();

  constructor(parts: SelectorParts, settings: SelectorSettings) {
    const { directory, clock } = parts;
    this.#terms = new Terms(settings, directory, clock);
    this.#ledger = new Ledger(parts);
    this.#provisional = new ProvisionalBindings(parts.provisionalEntries, clock);
    const shared = { ...parts, ledger: this.#ledger, terms: this.#terms, provisional: this.#provisional };
    this.#steps = new Steps(shared);
    this.#attempts = new Attempts(this.#ledger, directory, clock);
    this.#without = new WithoutQuorum({ ...shared, mode: parts.withoutQuorum });
    this.#claims = new Claims({ ...shared, settle: (request) => this.#settle(request, undefined) });
  }

  /** Since the start, for metrics. */
  get counters() {
    return {
      ...this.#steps.counters,
      ...this.#ledger.counters,
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
    const { call, requestId, beginsAgain } = request;
    // Where a call begins again, another replica may have released it unheard; what lingers is not to be given to a
    // call that is to last.
    const trusted = beginsAgain ? undefined : this.#ledger.trusted(call);
    const relay = trusted && this.#terms.relayOf(trusted.binding);
    return relay && this.#terms.suffices(trusted.binding, request)
      ? answerOf(trusted.binding, relay, requestId, 'fresh')
      : this.#selectAsking(request, trusted);
  }

  async #selectAsking(request: SelectRequest, trusted: StoredBinding | undefined): Promise<Answer> {
    const { call, requestId } = request;
    let settling: Settling | undefined;
    try {
      this.#without.hold(call);
      const settled = this.#settle(request, trusted);
      settling = this.#settling.get(call.key);
      return this.#answer((await settled).binding, requestId);
    } catch (error) {
      return this.#without.select(request, error, settling?.tried.relay);
    }
  }

  /**
   * The relay of the call if it is bound; undefined if not. Writes nothing.
   * @param presumption where the call is looked for without quorum, if nothing is known of it
   * @throws HoldfastError `unavailable`, `overloaded`, `no-relay`
   */
  async lookup(call: Call, presumption?: Presumption): Promise<Answer | undefined> {
    try {
      const stored = await this.#known(call, async (seen) => seen ?? this.#ledger.read(call));
      return stored && this.#answer(stored.binding, '');
    } catch (error) {
      return this.#without.find(call, error, presumption);
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
          this.#terms.livesFor(standing.binding, ttlSeconds)
            ? undefined
            : this.#steps.refresh(standing, ttlSeconds),
        ),
      );
      return stored && this.#answer(stored.binding, '');
    } catch (error) {
      const presumption = set === undefined ? undefined : { set, keepSeconds: ttlSeconds };
      return this.#without.find(call, error, presumption);
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
      const found = bound(seen ?? (await this.#ledger.read(call)));
      if (!found) throw new HoldfastError('not-found', `call ${call.callId} has no binding`);
      const { binding } = found;
      // An earlier try of this very request has done it.
      if (binding.generation === generation + 1 && binding.requestId === requestId) return found;
      if (binding.generation !== generation)
        throw new HoldfastError(
          'failed-precondition',
          `generation: call ${call.callId} is at generation ${binding.generation}, not ${generation}`,
        );
      const excluded = this.#terms.relayOf(binding)
        ? [...(request.wish.excluded ?? []), binding.relayId]
        : request.wish.excluded;
      const wish = { ...request.wish, excluded };
      return this.#steps.move(found, requestId, wish, [], request.reason);
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
      return this.#without.release(call, error);
    }
  }

  /** etcd answers again: what was promised meanwhile is bound. Resolves when that is done, or etcd is lost again. */
  claim(): Promise<void> {
    return this.#claims.claimAll();
  }

  /** What is known of the call, or what `ask` finds. What was promised to it is claimed first. */
  async #known(
    call: Call,
    ask: (trusted: StoredBinding | undefined) => Promise<Found>,
  ): Promise<StoredBinding | undefined> {
    this.#without.hold(call);
    await this.#claims.claim(call);
    return bound(await ask(this.#ledger.trusted(call)));
  }

  /** What is found of the call, after `step` where it is bound and the step has something to write. */
  #change(
    call: Call,
    begin: Found | undefined,
    step: (standing: StoredBinding) => Promise<WriteOutcome> | undefined,
  ): Promise<Found> {
    return this.#attempts.run<Found>(begin, async (seen) => {
      const found = seen ?? (await this.#ledger.read(call));
      const standing = bound(found);
      return (standing && step(standing)) ?? found;
    });
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
    const tried: Tried = {};
    const settled = this.#settleAlone(request, trusted, tried);
    this.#settling.set(key, { request, settled, tried });
    return settled;
  }

  async #settleAlone(
    request: SelectRequest,
    trusted: StoredBinding | undefined,
    tried: Tried,
  ): Promise<StoredBinding> {
    try {
      const stored = await this.#attempts.run<StoredBinding>(trusted, (found) =>
        this.#steps.settle(request, found, tried),
      );
      this.#claims.settled(stored);
      return stored;
    } finally {
      this.#settling.delete(request.call.key);
    }
  }

  #isSettled(binding: Binding, request: SelectRequest): boolean {
    return this.#terms.relayOf(binding) !== undefined && this.#terms.suffices(binding, request);
  }

  #answer(binding: Binding, requestId: string): Answer {
    return answerOf(binding, this.#terms.relayOf(binding), requestId, 'fresh');
  }
}
