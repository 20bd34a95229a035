import type { Binding, StoredBinding } from '../../domain/binding.js';
import type { Call } from '../../domain/call.js';
import type { Events } from '../../domain/events.js';
import { BoundedMap } from '../../runtime/bounded-map.js';
import type { Clock } from '../../runtime/clock.js';

export interface ProvisionalBindingsDeps {
  readonly events: Events;
  readonly clock: Clock;
}

interface Promised {
  readonly binding: Binding;
  /** By the monotonic clock: the wall clock may be set while etcd is away. */
  readonly deadlineMs: number;
}

/** Most characters of a Call-ID on average: most have half of that, some have thousands. */
const callIdEach = 128;

/** Calls that were given a relay without quorum: generation 0, until they are bound in etcd. */
export class ProvisionalBindings {
  readonly #events: Events;
  readonly #clock: Clock;
  readonly #bindings: BoundedMap<Promised>;
  /** Since the start, for metrics. */
  readonly counters = { dropped: 0, kept: 0, conflicts: 0, relaysGone: 0 };

  /** @param capacity most bindings; the oldest go first: their calls are the likeliest to have ended */
  constructor({ events, clock }: ProvisionalBindingsDeps, capacity: number) {
    this.#events = events;
    this.#clock = clock;
    this.#bindings = new BoundedMap({
      entries: capacity,
      weight: capacity * callIdEach,
      weigh: ({ binding }) => binding.call.callId.length,
    });
  }

  get size(): number {
    return this.#bindings.size;
  }

  /** Undefined as well once its time has run out. */
  get({ key }: Call): Binding | undefined {
    if (this.#bindings.size === 0) {
      return undefined;
    }
    const promised = this.#bindings.get(key);
    if (!promised || promised.deadlineMs > this.#clock.monotonicMs()) {
      return promised?.binding;
    }
    this.#bindings.delete(key);
    return undefined;
  }

  put(binding: Binding): void {
    const deadlineMs = this.#clock.monotonicMs() + binding.expiresAtMs - this.#clock.wallMs();
    this.counters.dropped += this.#bindings.set(binding.call.key, { binding, deadlineMs });
  }

  delete({ key }: Call): boolean {
    return this.#bindings.delete(key);
  }

  /** The call is bound: a promise is kept by that, or broken. */
  resolve({ binding }: StoredBinding): void {
    const promised = this.get(binding.call);
    if (!promised) {
      return;
    }
    this.delete(binding.call);
    if (promised.instance === binding.instance) {
      this.counters.kept++;
      this.#events.promiseKept(binding);
    } else if (promised.requestId === binding.requestId) {
      this.counters.relaysGone++;
      this.#events.promiseBroken(binding, promised.relayId, 'relay is gone');
    } else {
      this.counters.conflicts++;
      this.#events.promiseBroken(binding, promised.relayId, 'bound elsewhere');
    }
  }

  /** Oldest first, as they are now. */
  list(): Binding[] {
    return this.#bindings.values().map(({ binding }) => binding);
  }
}
