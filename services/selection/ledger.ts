import { remainingSeconds, type StoredBinding } from '../domain/binding.js';
import type { Call } from '../domain/call.js';
import type { BindingStore, BindingWrite, Found, WriteOutcome } from '../registry/binding-store.js';
import type { Quorum } from '../registry/quorum.js';
import type { RelayDirectory } from '../registry/relay-directory.js';
import type { Clock } from '../runtime/clock.js';
import type { BindingCache } from './binding-cache.js';

export interface LedgerParts {
  readonly store: BindingStore;
  readonly quorum: Quorum;
  readonly cache: BindingCache;
  readonly directory: RelayDirectory;
  /** True while moves by other replicas are heard as they happen. */
  readonly hearsMoves: () => boolean;
  readonly clock: Clock;
}

/** What the clocks of replicas may differ by: one wrote when a binding ends, another counts on it. */
const clockSkewSeconds = 2;

/** The bindings as this replica knows them: what etcd says, and what it has said lately. */
export class Ledger {
  readonly #parts: LedgerParts;
  /** Since the start, for metrics. */
  readonly counters = { guardFailures: 0 };

  constructor(parts: LedgerParts) {
    this.#parts = parts;
  }

  /** Why etcd cannot be asked, or undefined. */
  get lost() {
    return this.#parts.quorum.lost;
  }

  /** The binding, if what is remembered of it can be answered as fresh. */
  trusted(call: Call): StoredBinding | undefined {
    const { cache, quorum, directory, hearsMoves, clock } = this.#parts;
    if (quorum.lost || !directory.live || !hearsMoves()) return undefined;
    const stored = cache.trusted(call.key, clock.monotonicMs());
    // That a binding's time has run out is told to nobody.
    const lives = stored && remainingSeconds(stored.binding, clock.wallMs()) > clockSkewSeconds;
    return lives ? stored : undefined;
  }

  /** The binding as it was last seen, however long ago, unless its time has run out. */
  lastKnown(call: Call): StoredBinding | undefined {
    return this.#parts.cache.lastKnown(call.key, this.#parts.clock.wallMs());
  }

  /** @throws HoldfastError `unavailable`, `overloaded` */
  async read(call: Call): Promise<Found> {
    const askedAtMs = this.#parts.clock.monotonicMs();
    const found = await this.#parts.quorum.ask(() => this.#parts.store.read(call));
    this.#remember(call, found, askedAtMs);
    return found;
  }

  /** @throws HoldfastError `unavailable` (the outcome is unknown), `overloaded` (nothing was written) */
  async write(write: BindingWrite): Promise<WriteOutcome> {
    const askedAtMs = this.#parts.clock.monotonicMs();
    const outcome = await this.#parts.quorum.ask(() => this.#parts.store.write(write));
    this.#remember(write.binding.call, outcome.written ? outcome.stored : outcome.found, askedAtMs);
    if (!outcome.written) this.counters.guardFailures++;
    return outcome;
  }

  #remember(call: Call, { binding, revision }: Found, askedAtMs: number): void {
    if (binding) this.#parts.cache.remember({ binding, revision }, askedAtMs);
    else this.#parts.cache.forget(call.key);
  }
}
