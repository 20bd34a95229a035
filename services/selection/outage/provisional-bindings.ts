import type { Binding, StoredBinding } from '../../domain/binding.js';
import type { Call } from '../../domain/call.js';
import type { Events } from '../../domain/events.js';
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

/** Calls that were given a relay without quorum: generation 0, until they are bound in etcd. */
export class ProvisionalBindings {
  readonly #events: Events;
  readonly #clock: Clock;
  readonly #capacity: number;
  readonly #bindings = new Map<string, Promised>();
  /** Goes along with the oldest: a new iterator would walk over all that were deleted before it. */
  #oldest = this.#bindings.keys();
  /** Since the start, for metrics. */
  readonly counters = { dropped: 0, kept: 0, conflicts: 0, relaysGone: 0 };

  /** @param capacity most bindings; the oldest go first: their calls are the likeliest to have ended */
  constructor({ events, clock }: ProvisionalBindingsDeps, capacity: number) {
    this.#events = events;
    this.#clock = clock;
    this.#capacity = capacity;
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
    this.#bindings.delete(binding.call.key);
    const deadlineMs = this.#clock.monotonicMs() + binding.expiresAtMs - this.#clock.wallMs();
    this.#bindings.set(binding.call.key, { binding, deadlineMs });
    if (this.#bindings.size <= this.#capacity) {
      return;
    }
    let { value: oldest } = this.#oldest.next();
    if (oldest === undefined) {
      this.#oldest = this.#bindings.keys();
      ({ value: oldest } = this.#oldest.next());
    }
    if (oldest !== undefined) {
      this.#bindings.delete(oldest);
    }
    this.counters.dropped++;
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
    return Array.from(this.#bindings.values(), ({ binding }) => binding);
  }
}
