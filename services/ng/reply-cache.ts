import type { Clock } from '../runtime/clock.js';

export interface ReplyCacheLimits {
  readonly ttlMs: number;
  readonly maxEntries: number;
  readonly maxBytes: number;
}

interface Entry {
  readonly datagram: Buffer;
  readonly expiresAtMs: number;
}

/**
 * Replies already given, so that a retransmitted request gets the same answer and is not carried out
 * twice. Entries live equally long, so the order of insertion is the order of expiry.
 */
export class ReplyCache {
  readonly #entries = new Map<string, Entry>();
  readonly #clock: Clock;
  readonly #limits: ReplyCacheLimits;
  #bytes = 0;

  constructor(clock: Clock, limits: ReplyCacheLimits) {
    this.#clock = clock;
    this.#limits = limits;
  }

  get size(): number {
    return this.#entries.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get(key: string): Buffer | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    if (entry.expiresAtMs > this.#clock.monotonicMs()) return entry.datagram;
    this.#remove(key, entry);
    return undefined;
  }

  put(key: string, datagram: Buffer): void {
    const { ttlMs, maxEntries, maxBytes } = this.#limits;
    const nowMs = this.#clock.monotonicMs();
    const previous = this.#entries.get(key);
    if (previous) this.#remove(key, previous);
    if (datagram.length > maxBytes) return;
    for (const [oldest, entry] of this.#entries) {
      const fits = this.#entries.size < maxEntries && this.#bytes + datagram.length <= maxBytes;
      if (fits && entry.expiresAtMs > nowMs) break;
      this.#remove(oldest, entry);
    }
    this.#entries.set(key, { datagram, expiresAtMs: nowMs + ttlMs });
    this.#bytes += datagram.length;
  }

  clear(): void {
    this.#entries.clear();
    this.#bytes = 0;
  }

  #remove(key: string, entry: Entry): void {
    this.#entries.delete(key);
    this.#bytes -= entry.datagram.length;
  }
}
