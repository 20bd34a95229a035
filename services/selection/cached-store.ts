import { remainingSeconds, type StoredBinding } from '../domain/binding.js';
import type { Call } from '../domain/call.js';
import type { QuorumMonitor } from '../etcd/quorum-monitor.js';
import type { BindingStore, BindingWrite, Found, WriteOutcome } from '../registry/binding-store.js';
import type { RelayDirectory } from '../registry/relay-directory.js';
import type { Clock } from '../runtime/clock.js';
import type { BindingCache } from './cache/binding-cache.js';

export interface CachedBindingStoreDeps {
  readonly store: BindingStore;
  readonly quorum: QuorumMonitor;
  readonly cache: BindingCache;
  readonly directory: RelayDirectory;
  /** True while moves by other replicas are heard as they happen. */
  readonly hearsMoves: () => boolean;
  readonly clock: Clock;
}

/** What the clocks of replicas may differ by: one wrote when a binding ends, another counts on it. */
const clockSkewSeconds = 2;

/** The bindings as this replica knows them: what etcd says, and what it has said lately. */
export class CachedBindingStore {
  readonly #deps: CachedBindingStoreDeps;
  /** Since the start, for metrics. */
  readonly counters = { guardFailures: 0 };

  constructor(deps: CachedBindingStoreDeps) {
    this.#deps = deps;
  }

  /** Why etcd cannot be asked, or undefined. */
  get lost() {
    return this.#deps.quorum.lost;
  }

  /** The binding, if what is remembered of it can be answered as fresh. */
  fresh(call: Call): StoredBinding | undefined {
    const { cache, quorum, directory, hearsMoves, clock } = this.#deps;
    if (quorum.lost || !directory.live || !hearsMoves()) {
      return undefined;
    }
    const stored = cache.fresh(call.key, clock.monotonicMs());
    // That a binding's time has run out is told to nobody.
    const lives = stored && remainingSeconds(stored.binding, clock.wallMs()) > clockSkewSeconds;
    return lives ? stored : undefined;
  }

  /** The binding as it was last seen, however long ago, unless its time has run out. */
  lastKnown(call: Call): StoredBinding | undefined {
    return this.#deps.cache.lastKnown(call.key, this.#deps.clock.wallMs());
  }

  /** @throws HoldfastError `unavailable`, `overloaded` */
  async read(call: Call): Promise<Found> {
    const askedAtMs = this.#deps.clock.monotonicMs();
    const found = await this.#deps.quorum.ask(() => this.#deps.store.read(call));
    this.#remember(call, found, askedAtMs);
    return found;
  }

  /** @throws HoldfastError `unavailable` (the outcome is unknown), `overloaded` (nothing was written) */
  async write(write: BindingWrite): Promise<WriteOutcome> {
    const askedAtMs = this.#deps.clock.monotonicMs();
    const outcome = await this.#deps.quorum.ask(() => this.#deps.store.write(write));
    this.#remember(write.binding.call, outcome.written ? outcome.stored : outcome.found, askedAtMs);
    if (!outcome.written) {
      this.counters.guardFailures++;
    }
    return outcome;
  }

  #remember(call: Call, { binding, revision }: Found, askedAtMs: number): void {
    if (binding) {
      this.#deps.cache.remember({ binding, revision }, askedAtMs);
    } else {
      this.#deps.cache.forget(call.key);
    }
  }
}
