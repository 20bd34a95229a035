import type { StoredBinding } from '../domain/binding.js';

interface Remembered {
  readonly stored: StoredBinding;
  /** When etcd was last asked and said so, by the monotonic clock, before the question was sent. */
  readonly verifiedAtMs: number;
  readonly era: number;
}

/**
 * The bindings this replica has seen lately. An entry may be answered as fresh only while nothing can have ended the
 * binding unheard: moves are heard by watch, and a release keeps the key for a linger; so what etcd said less than a
 * linger ago still exists. After a gap in the watch nothing counts as fresh until it is read again.
 */
export class BindingCache {
  readonly #entries = new Map<string, Remembered>();
  /** etcd's revision of each call's last move, for as long as etcd keeps it. */
  readonly #moves = new Map<string, number>();
  #era = 0;

  constructor(
    /** Most entries; the oldest written go first. */
    private readonly capacity: number,
    /** How long what etcd said may be answered as fresh, ms. */
    private readonly trustMs: number,
  ) {}

  get size(): number {
    return this.#entries.size;
  }

  /** The binding if it can be answered as fresh. */
  trusted(callKey: string, nowMs: number): StoredBinding | undefined {
    const entry = this.#entries.get(callKey);
    return entry && entry.era === this.#era && nowMs - entry.verifiedAtMs < this.trustMs
      ? entry.stored
      : undefined;
  }

  /** The binding as it was last seen, however long ago, unless its time has run out. */
  lastKnown(callKey: string, wallMs: number): StoredBinding | undefined {
    const stored = this.#entries.get(callKey)?.stored;
    return stored && stored.binding.expiresAtMs > wallMs ? stored : undefined;
  }

  /** @param askedAtMs when the question was sent whose answer this is, by the monotonic clock */
  remember(stored: StoredBinding, askedAtMs: number): void {
    const { key } = stored.binding.call;
    const known = this.#entries.get(key);
    // Answers and the news of moves may overtake each other on their way here; etcd's order is what counts.
    if (stored.revision < (this.#moves.get(key) ?? 0)) return;
    if (known && known.era === this.#era && known.stored.revision > stored.revision) return;
    this.#entries.delete(key);
    this.#entries.set(key, { stored, verifiedAtMs: askedAtMs, era: this.#era });
    if (this.#entries.size > this.capacity) {
      const [oldest] = this.#entries.keys();
      if (oldest !== undefined) this.#entries.delete(oldest);
    }
  }

  forget(callKey: string): void {
    this.#entries.delete(callKey);
  }

  /** The call was moved at this etcd revision: what was read of it before is history, even if it comes later. */
  hearMove(callKey: string, revision: number): void {
    this.#moves.set(callKey, revision);
    const known = this.#entries.get(callKey);
    if (known && known.stored.revision < revision) this.#entries.delete(callKey);
  }

  /** The move is so long ago that no answer from before it can still come. */
  forgetMove(callKey: string): void {
    this.#moves.delete(callKey);
  }

  /** Moves may have gone unheard. */
  distrust(): void {
    this.#era++;
  }
}
