import type { Clock } from '../../runtime/clock.js';

export interface ReplyCacheLimits {
  readonly ttlMs: number;
  readonly maxEntries: number;
  readonly maxBytes: number;
}

interface Entry {
  readonly key: string;
  /** A character for each byte: a small Buffer would keep 8 KiB of what Node has cut it from. */
  readonly datagram: string;
  readonly expiresAtMs: number;
}

/** Entries that left the front of the queue before their space is given back. */
const slack = 1024;

/**
 * Replies already given, so that a retransmitted request gets the same answer and is not carried out
 * twice. Entries live equally long, so the order of insertion is the order of expiry. The queue stands beside the map
 * because a Map skips the tombstones of all deleted entries each time it is asked for its first.
 */
export class ReplyCache {
  readonly #entries = new Map<string, Entry>();
  readonly #clock: Clock;
  readonly #limits: ReplyCacheLimits;
  #queue: Entry[] = [];
  #front = 0;
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
    if (!entry) {
      return undefined;
    }
    if (entry.expiresAtMs > this.#clock.monotonicMs()) {
      return Buffer.from(entry.datagram, 'latin1');
    }
    this.#remove(entry);
    return undefined;
  }

  put(key: string, datagram: Buffer): void {
    const { ttlMs, maxBytes } = this.#limits;
    const nowMs = this.#clock.monotonicMs();
    const previous = this.#entries.get(key);
    if (previous) {
      this.#remove(previous);
    }
    if (datagram.length > maxBytes) {
      return;
    }
    this.#makeRoom(datagram.length, nowMs);
    const entry = { key, datagram: datagram.toString('latin1'), expiresAtMs: nowMs + ttlMs };
    this.#entries.set(key, entry);
    this.#queue.push(entry);
    this.#bytes += datagram.length;
  }

  clear(): void {
    this.#entries.clear();
    this.#queue = [];
    this.#front = 0;
    this.#bytes = 0;
  }

  /** Drops the oldest until the new one fits, and all that have expired. */
  #makeRoom(bytes: number, nowMs: number): void {
    const { maxEntries, maxBytes } = this.#limits;
    for (; this.#front < this.#queue.length; this.#front++) {
      const oldest = this.#queue[this.#front] as Entry;
      const fits = this.#entries.size < maxEntries && this.#bytes + bytes <= maxBytes;
      if (fits && oldest.expiresAtMs > nowMs) {
        break;
      }
      this.#remove(oldest);
    }
    if (this.#front > slack && this.#front > this.#queue.length / 2) {
      this.#queue = this.#queue.slice(this.#front);
      this.#front = 0;
    }
  }

  /** Does nothing for an entry that was replaced or removed before. */
  #remove(entry: Entry): void {
    if (this.#entries.get(entry.key) !== entry) {
      return;
    }
    this.#entries.delete(entry.key);
    this.#bytes -= entry.datagram.length;
  }
}
