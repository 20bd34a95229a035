import {
  type Binding,
  type BindingVersion,
  isVersionOf,
  leaseSeconds,
  noticesOf,
} from '../../domain/binding.js';
import { type Call, inSet } from '../../domain/call.js';
import type { RegisteredRelay } from '../../domain/relay.js';
import type { Placement } from '../../placement/placement.js';
import type { RelayConstraints } from '../../placement/pool.js';
import type { RelayDirectory } from '../../registry/relay-directory.js';
import type { Clock } from '../../runtime/clock.js';
import type { CachedBindingStore } from '../cached-store.js';
import { newRequestId } from '../request-id.js';
import { type Answer, answerOf, mayBeginAgain, type SelectRequest } from '../requests.js';
import type { TtlPolicy } from '../ttl-policy.js';
import { isOutage, relayAwaited } from '../write-result.js';
import type { ProvisionalBindings } from './provisional-bindings.js';
import type { UsedCalls } from './used-calls.js';

export const withoutQuorumModes = ['available', 'strict'] as const;
/** What becomes of new calls while etcd is out of reach: given a relay provisionally, or refused. */
export type WithoutQuorumMode = (typeof withoutQuorumModes)[number];

export interface OutageFallbackDeps {
  readonly mode: WithoutQuorumMode;
  readonly cachedStore: CachedBindingStore;
  readonly directory: RelayDirectory;
  readonly placement: Placement;
  readonly provisional: ProvisionalBindings;
  readonly used: Pick<UsedCalls, 'note'>;
  readonly ttlPolicy: TtlPolicy;
  readonly clock: Clock;
}

/** How a call is answered of which nothing is known. */
export interface Prediction {
  /** It is kept there from now on, for at least this long, s; undefined: only answered. */
  readonly keepSeconds?: number;
}

/** Where a call is, or may be. */
export interface Likely {
  /** The relay that says that it carries the call. */
  readonly carrier?: RegisteredRelay;
  /** This replica tried to bind it there, and heard no answer. */
  readonly tried?: RegisteredRelay | undefined;
}

/**
 * Answers in place of etcd while it is out of reach. A call that is remembered stays where it was, and is answered as stale.
 * Any other goes where rendezvous hashing over the last known relays puts it, so that replicas agree without talking.
 */
export class OutageFallback {
  readonly #deps: OutageFallbackDeps;

  constructor(deps: OutageFallbackDeps) {
    this.#deps = deps;
  }

  /**
   * A call that was promised a relay which is not believed to be gone waits for it: it is answered as before meanwhile.
   * @throws HoldfastError `unavailable` for such a call
   */
  assertNotSuspect(call: Call): void {
    const promised = this.#suspectPromise(call);
    if (promised) {
      throw relayAwaited(promised);
    }
  }

  /**
   * @param likely where the call is, or may be
   * @throws `error` where there is no answer in this mode, or etcd is not the trouble
   * @throws HoldfastError `no-relay`
   */
  select(request: SelectRequest, error: unknown, { carrier, tried }: Likely): Answer {
    const { call, requestId, constraints } = request;
    const known = this.#stale(call, requestId, error);
    const beginsAgain = known?.binding.state === 'released' && mayBeginAgain(known.binding, request);
    if (known && !(beginsAgain && this.#mayPredict(call))) {
      this.#deps.used.note({ ...request, call: known.binding.call });
      return known;
    }
    if (!this.#mayPredict(call)) {
      throw error;
    }
    const { provisional, placement, ttlPolicy } = this.#deps;
    const promised = provisional.get(call);
    const relay =
      this.#allowed(carrier ?? (promised && ttlPolicy.relayOf(promised)), constraints) ??
      this.#allowed(known?.relay ?? this.#still(tried), constraints) ??
      placement.predict(call.set, call.key, constraints).registered;
    const { setupTtlSeconds, callTtlSeconds } = ttlPolicy.settings;
    const isFirstUse = !promised || promised.requestId === requestId;
    const defaultTtlSeconds = isFirstUse && request.inDialog !== true ? setupTtlSeconds : callTtlSeconds;
    const binding = this.#binding(request, relay, defaultTtlSeconds);
    provisional.put(binding);
    return answerOf(binding, relay, requestId, 'provisional');
  }

  /**
   * The same for callers that must not bind the call.
   * @param carrier the relay that says that it carries the call
   * @throws `error` where there is no answer
   */
  find(
    call: Call,
    error: unknown,
    prediction: Prediction | undefined,
    carrier: RegisteredRelay | undefined,
  ): Answer {
    const known = this.#stale(call, '', error);
    if (known) {
      return known;
    }
    if (!this.#mayPredict(call)) {
      throw error;
    }
    const { provisional, placement, ttlPolicy } = this.#deps;
    const promised = provisional.get(call);
    const promisedRelay = promised && ttlPolicy.relayOf(promised);
    if (!promisedRelay && !prediction) {
      throw error;
    }
    const relay = carrier ?? promisedRelay ?? placement.predict(call.set, call.key, {}).registered;
    const keepSeconds = prediction?.keepSeconds;
    const inDialog = keepSeconds !== undefined;
    const request = { call, requestId: newRequestId(), ttlSeconds: keepSeconds, inDialog };
    const binding = this.#binding(request, relay, ttlPolicy.settings.setupTtlSeconds);
    if (keepSeconds !== undefined) {
      provisional.put(binding);
    }
    return answerOf(binding, relay, '', 'provisional');
  }

  /** The answer by the word of the relay that says that it carries the call. Promises nothing. */
  located(call: Call, carrier: RegisteredRelay): Answer {
    const own = inSet(call, carrier.relay.set);
    const { callTtlSeconds } = this.#deps.ttlPolicy.settings;
    const request = { call: own, requestId: newRequestId(), inDialog: true };
    return answerOf(this.#binding(request, carrier, callTtlSeconds), carrier, '', 'provisional');
  }

  /** @returns true if there was anything to release @throws `error` where etcd alone knows */
  release(call: Call, version: BindingVersion | undefined, error: unknown): boolean {
    const { provisional } = this.#deps;
    const promised = provisional.get(call);
    if (!isOutage(error) || !promised || (version && !isVersionOf(promised, version))) {
      throw error;
    }
    return provisional.delete(call);
  }

  #mayPredict(call: Call): boolean {
    const { mode, cachedStore } = this.#deps;
    const isOut = cachedStore.lost !== undefined || this.#suspectPromise(call) !== undefined;
    return mode === 'available' && isOut;
  }

  #suspectPromise(call: Call): Binding | undefined {
    const promised = this.#deps.provisional.get(call);
    const isSuspect = promised && this.#deps.directory.isSuspect(promised.call.set, promised.relayId);
    return isSuspect ? promised : undefined;
  }

  /** What was last known is better than nothing, if the call's relay is there. */
  #stale(call: Call, requestId: string, error: unknown): Answer | undefined {
    if (!isOutage(error)) {
      throw error;
    }
    const { cachedStore, ttlPolicy, provisional } = this.#deps;
    const binding = cachedStore.lastKnown(call)?.binding;
    // What was promised since began after it had ended.
    if (binding?.state === 'released' && provisional.get(call)) {
      return undefined;
    }
    const relay = binding && ttlPolicy.relayOf(binding);
    return relay && answerOf(binding, relay, requestId, 'stale');
  }

  #still(seen: RegisteredRelay | undefined): RegisteredRelay | undefined {
    const now = seen && this.#deps.directory.get(seen.relay.set, seen.relay.id);
    return now?.relay.instance === seen?.relay.instance ? now : undefined;
  }

  #allowed(relay: RegisteredRelay | undefined, { excluded }: RelayConstraints): RegisteredRelay | undefined {
    return relay && !excluded?.includes(relay.relay.id) ? relay : undefined;
  }

  /** What was promised before is carried on: it lives as long, and is known by its first request. */
  #binding(
    {
      call,
      requestId,
      ttlSeconds,
      inDialog,
      notices,
    }: Pick<SelectRequest, 'call' | 'requestId' | 'ttlSeconds' | 'inDialog' | 'notices'>,
    { relay }: RegisteredRelay,
    defaultTtlSeconds: number,
  ): Binding {
    const nowMs = this.#deps.clock.wallMs();
    const before = this.#deps.provisional.get(call);
    const ttl = Math.max(before?.ttlSeconds ?? 0, ttlSeconds ?? defaultTtlSeconds);
    return {
      call: call.anySet ? { ...call, anySet: false } : call,
      relayId: relay.id,
      instance: relay.instance,
      generation: 0,
      requestId: before?.requestId ?? requestId,
      state: inDialog || before?.state === 'answered' ? 'answered' : 'setup',
      beginning: before?.beginning ?? requestId,
      createdAtMs: before?.createdAtMs ?? nowMs,
      ttlSeconds: ttl,
      expiresAtMs: nowMs + leaseSeconds(ttl) * 1000,
      moves: [],
      notices: noticesOf(before?.notices ?? [], notices),
    };
  }
}
