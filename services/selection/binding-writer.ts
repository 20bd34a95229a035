import { type Binding, leaseSeconds, type StoredBinding } from '../domain/binding.js';
import type { Call } from '../domain/call.js';
import { HoldfastError } from '../domain/error.js';
import type { RegisteredRelay } from '../domain/relay.js';
import type { Candidate } from '../placement/candidate.js';
import type { Placement } from '../placement/placement.js';
import type { RelayConstraints } from '../placement/pool.js';
import type { Found, RelayGuard, WriteOutcome } from '../registry/binding-store.js';
import type { RelayDirectory } from '../registry/relay-directory.js';
import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';
import type { CachedBindingStore } from './cached-store.js';
import type { ProvisionalBindings } from './outage/provisional-bindings.js';
import type { SelectRequest } from './requests.js';
import type { TtlPolicy } from './ttl-policy.js';
import { asRefused, bound, RelayAwaitedError, withGuard } from './write-result.js';

export interface BindingWriterDeps {
  readonly cachedStore: CachedBindingStore;
  readonly directory: RelayDirectory;
  readonly placement: Placement;
  readonly provisional: ProvisionalBindings;
  readonly ttlPolicy: TtlPolicy;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Filled in by a write that is about to bind a call to a relay: without an answer, it may be bound there. */
export interface Tried {
  relay?: RegisteredRelay;
}

/** The writes that there are. Each is guarded by what its writer has seen, and says what etcd said. */
export class BindingWriter {
  readonly #deps: BindingWriterDeps;
  /** Since the start, for metrics. */
  readonly counters = { bound: 0, moved: 0, refreshed: 0, released: 0 };

  constructor(deps: BindingWriterDeps) {
    this.#deps = deps;
  }

  /** One step from what was found towards a binding that stands and lives long enough. */
  settle(
    request: SelectRequest,
    found: Found | undefined,
    tried: Tried,
  ): StoredBinding | Promise<WriteOutcome> {
    const { ttlPolicy, directory } = this.#deps;
    if (!found?.binding) {
      return this.#bind(request, found, tried);
    }
    const revives = request.reopen === true && found.binding.released;
    const stored = { ...found, binding: revives ? { ...found.binding, released: false } : found.binding };
    const ttlSeconds = ttlPolicy.wantedTtl(stored.binding, request);
    if (!ttlPolicy.relayOf(stored.binding)) {
      const { set, relayId: id } = stored.binding;
      const gone = { set, id, revision: directory.revisionOf(set, id) };
      // This is a use like any other: the call may have been set up when it was bound, and in progress by now.
      const used = { ...stored, binding: { ...stored.binding, ttlSeconds } };
      return this.move(used, request.requestId, request.constraints, [gone], 'its relay is gone');
    }
    if (revives || !ttlPolicy.livesFor(stored.binding, ttlSeconds)) {
      return this.refresh(stored, ttlSeconds);
    }
    return stored;
  }

  /** Binds the call to another relay, generation + 1. @throws HoldfastError also `relays-full`, `no-relay` */
  async move(
    { binding: old, revision }: StoredBinding,
    requestId: string,
    constraints: RelayConstraints,
    guards: readonly RelayGuard[],
    reason: string,
  ): Promise<WriteOutcome> {
    const { ttlPolicy, clock, log } = this.#deps;
    const target = this.#choose(old.set, old.call, constraints);
    if (target instanceof HoldfastError) {
      throw target;
    }
    const binding: Binding = {
      ...old,
      relayId: target.id,
      instance: target.registered.relay.instance,
      generation: old.generation + 1,
      requestId,
      expiresAtMs: clock.wallMs() + ttlPolicy.lifetimeSeconds(old) * 1000,
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
    const { ttlPolicy, clock, cachedStore } = this.#deps;
    const next = { ...binding, ttlSeconds: Math.max(binding.ttlSeconds, ttlSeconds) };
    const lifetimeSeconds = ttlPolicy.lifetimeSeconds(next);
    const expiresAtMs = clock.wallMs() + lifetimeSeconds * 1000;
    const outcome = await cachedStore.write({
      binding: { ...next, expiresAtMs },
      expected: revision,
      guards: [],
      lifetimeSeconds,
    });
    if (outcome.written) {
      this.counters.refreshed++;
    }
    return outcome;
  }

  /** The binding stays for a linger. */
  async release({ binding, revision }: StoredBinding): Promise<WriteOutcome> {
    const { ttlPolicy, clock, cachedStore } = this.#deps;
    const lifetimeSeconds = ttlPolicy.settings.lingerSeconds;
    const expiresAtMs = clock.wallMs() + lifetimeSeconds * 1000;
    const outcome = await cachedStore.write({
      binding: { ...binding, released: true, expiresAtMs },
      expected: revision,
      guards: [],
      lifetimeSeconds,
    });
    if (outcome.written) {
      this.counters.released++;
    }
    return outcome;
  }

  async #bind(request: SelectRequest, found: Found | undefined, tried: Tried): Promise<WriteOutcome> {
    const { call, set, requestId } = request;
    const { cachedStore, ttlPolicy, clock, log } = this.#deps;
    // A call that was bound when last seen is bound still, most likely: a read costs etcd less than a write.
    if (!found && cachedStore.lastKnown(call)) {
      return asRefused(await cachedStore.read(call));
    }
    const target = this.#choose(set, call, request.constraints);
    if (target instanceof HoldfastError) {
      // No relay for a new call; but this one may be bound already.
      const standing = found ?? (await cachedStore.read(call));
      if (!bound(standing)) {
        throw target;
      }
      return asRefused(standing);
    }
    const ttlSeconds = request.ttlSeconds ?? ttlPolicy.settings.setupTtlSeconds;
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
      expiresAtMs: nowMs + leaseSeconds(ttlSeconds) * 1000,
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
  #choose(set: string, call: Call, constraints: RelayConstraints): Candidate | HoldfastError {
    const { placement, provisional, directory, clock } = this.#deps;
    const promised = provisional.get(call);
    if (promised && directory.isSuspect(promised.set, promised.relayId)) {
      return new RelayAwaitedError(promised);
    }
    const kept = promised?.set === set && placement.take(set, promised.relayId, promised.instance);
    if (
      kept &&
      !constraints.excluded?.includes(kept.id) &&
      (!constraints.target || constraints.target === kept.id)
    ) {
      return kept;
    }
    try {
      return placement.choose(set, call.key, constraints, clock.monotonicMs());
    } catch (error) {
      if (error instanceof HoldfastError) {
        return error;
      }
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
    const { cachedStore, ttlPolicy } = this.#deps;
    const { relay, revision } = target.registered;
    const all = withGuard(guards, { set: relay.set, id: relay.id, revision });
    const lifetimeSeconds = ttlPolicy.lifetimeSeconds(binding);
    let written = false;
    try {
      const outcome = await cachedStore.write({ binding, expected, guards: all, lifetimeSeconds });
      written = outcome.written;
      return outcome;
    } finally {
      if (!written) {
        target.unpick();
      }
    }
  }
}
