import { type Binding, leaseSeconds, type StoredBinding } from '../domain/binding.js';
import type { Call } from '../domain/call.js';
import { HoldfastError } from '../domain/error.js';
import type { RegisteredRelay } from '../domain/relay.js';
import type { Candidate } from '../placement/candidate.js';
import type { Placement } from '../placement/placement.js';
import type { Wish } from '../placement/pool.js';
import type { Found, RelayGuard, WriteOutcome } from '../registry/binding-store.js';
import type { RelayDirectory } from '../registry/relay-directory.js';
import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';
import type { Ledger } from './ledger.js';
import { asRefused, bound, RelayAwaited, withGuard } from './outcome.js';
import type { ProvisionalBindings } from './provisional-bindings.js';
import type { SelectRequest } from './question.js';
import type { Terms } from './terms.js';

export interface StepParts {
  readonly ledger: Ledger;
  readonly directory: RelayDirectory;
  readonly placement: Placement;
  readonly provisional: ProvisionalBindings;
  readonly terms: Terms;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Filled in by a write that is about to bind a call to a relay: without an answer, it may be bound there. */
export interface Tried {
  relay?: RegisteredRelay;
}

/** The writes that there are. Each is guarded by what its writer has seen, and says what etcd said. */
export class Steps {
  readonly #parts: StepParts;
  /** Since the start, for metrics. */
  readonly counters = { bound: 0, moved: 0, refreshed: 0, released: 0 };

  constructor(parts: StepParts) {
    this.#parts = parts;
  }

  /** One step from what was found towards a binding that stands and lives long enough. */
  settle(
    request: SelectRequest,
    found: Found | undefined,
    tried: Tried,
  ): StoredBinding | Promise<WriteOutcome> {
    const { terms, directory } = this.#parts;
    if (!found?.binding) return this.#bind(request, found, tried);
    const revives = request.beginsAgain === true && found.binding.released;
    const stored = { ...found, binding: revives ? { ...found.binding, released: false } : found.binding };
    const ttlSeconds = terms.wantedTtl(stored.binding, request);
    if (!terms.relayOf(stored.binding)) {
      const { set, relayId: id } = stored.binding;
      const gone = { set, id, revision: directory.revisionOf(set, id) };
      // This is a use like any other: the call may have been set up when it was bound, and in progress by now.
      const used = { ...stored, binding: { ...stored.binding, ttlSeconds } };
      return this.move(used, request.requestId, request.wish, [gone], 'its relay is gone');
    }
    if (revives || !terms.livesFor(stored.binding, ttlSeconds)) return this.refresh(stored, ttlSeconds);
    return stored;
  }

  /** Binds the call to another relay, generation + 1. @throws HoldfastError also `relays-full`, `no-relay` */
  async move(
    { binding: old, revision }: StoredBinding,
    requestId: string,
    wish: Wish,
    guards: readonly RelayGuard[],
    reason: string,
  ): Promise<WriteOutcome> {
    const { terms, clock, log } = this.#parts;
    const target = this.#choose(old.set, old.call, wish);
    if (target instanceof HoldfastError) throw target;
    const binding: Binding = {
      ...old,
      relayId: target.id,
      instance: target.registered.relay.instance,
      generation: old.generation + 1,
      requestId,
      expiresAtMs: clock.wallMs() + terms.lifetimeSeconds(old) * 1_000,
    };
    const outcome = await this.#writeTo(target, binding, revision, guards);
    if (outcome.written) {
      this.counters.moved++;
      const { callId } = old.call;
      const { generation } = binding;
      log.info({ callId, relay: target.id, from: old.relayId, generation, reason }, 'call moved');
    }
    return outcome;
  }

  async refresh({ binding, revision }: StoredBinding, ttlSeconds: number): Promise<WriteOutcome> {
    const { terms, clock, ledger } = this.#parts;
    const next = { ...binding, ttlSeconds: Math.max(binding.ttlSeconds, ttlSeconds) };
    const lifetimeSeconds = terms.lifetimeSeconds(next);
    const expiresAtMs = clock.wallMs() + lifetimeSeconds * 1_000;
    const outcome = await ledger.write({
      binding: { ...next, expiresAtMs },
      expected: revision,
      guards: [],
      lifetimeSeconds,
    });
    if (outcome.written) this.counters.refreshed++;
    return outcome;
  }

  /** The binding stays for a linger. */
  async release({ binding, revision }: StoredBinding): Promise<WriteOutcome> {
    const { terms, clock, ledger } = this.#parts;
    const lifetimeSeconds = terms.settings.lingerSeconds;
    const expiresAtMs = clock.wallMs() + lifetimeSeconds * 1_000;
    const outcome = await ledger.write({
      binding: { ...binding, released: true, expiresAtMs },
      expected: revision,
      guards: [],
      lifetimeSeconds,
    });
    if (outcome.written) this.counters.released++;
    return outcome;
  }

  async #bind(request: SelectRequest, found: Found | undefined, tried: Tried): Promise<WriteOutcome> {
    const { call, set, requestId } = request;
    const { ledger, terms, clock, log } = this.#parts;
    // A call that was bound when last seen is bound still, most likely: a read costs etcd less than a write.
    if (!found && ledger.lastKnown(call)) return asRefused(await ledger.read(call));
    const target = this.#choose(set, call, request.wish);
    if (target instanceof HoldfastError) {
      // No relay for a new call; but this one may be bound already.
      const standing = found ?? (await ledger.read(call));
      if (!bound(standing)) throw target;
      return asRefused(standing);
    }
    const ttlSeconds = request.ttlSeconds ?? terms.settings.setupTtlSeconds;
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
    tried.relay = target.registered;
    const outcome = await this.#writeTo(target, binding, found?.revision ?? 0, []);
    if (outcome.written) {
      this.counters.bound++;
      log.debug({ callId: call.callId, relay: target.id, generation: 1 }, 'call bound');
    }
    return outcome;
  }

  /**
   * The relay that was promised to the call without quorum, if it is there still; else what placement says. The error is
   * returned, not thrown, where the caller may know better than «no relay».
   */
  #choose(set: string, call: Call, wish: Wish): Candidate | HoldfastError {
    const { placement, provisional, directory, clock } = this.#parts;
    const promised = provisional.get(call);
    if (promised && directory.isDoubted(promised.set, promised.relayId)) return new RelayAwaited(promised);
    const kept = promised?.set === set && placement.take(set, promised.relayId, promised.instance);
    if (kept && !wish.excluded?.includes(kept.id) && (!wish.target || wish.target === kept.id)) return kept;
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
    const { ledger, terms } = this.#parts;
    const { relay, revision } = target.registered;
    const all = withGuard(guards, { set: relay.set, id: relay.id, revision });
    const lifetimeSeconds = terms.lifetimeSeconds(binding);
    let written = false;
    try {
      const outcome = await ledger.write({ binding, expected, guards: all, lifetimeSeconds });
      written = outcome.written;
      return outcome;
    } finally {
      if (!written) target.unpick();
    }
  }
}
