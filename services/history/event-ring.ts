import type { EventBatch, EventFeed, RecordedEvent } from '../domain/recorded-event.js';
import type { Clock } from '../runtime/clock.js';
import { Subscribers } from '../runtime/subscribers.js';

/** A record before it has its place. */
export type NewRecord = Omit<RecordedEvent, 'sequence' | 'atMs'>;

const mostRecords = 10_000;
const keptMs = 24 * 3_600_000;

interface Kept {
  readonly event: RecordedEvent;
  /** By the monotonic clock: the age of a record does not depend on who sets the time of day. */
  readonly heardAtMs: number;
}

/**
 * The last records, at most so many and none older than a day:
 *
 *     [ 10004 │ 10005 │ 10006 │ 7 │ 8 │ … │ 10003 ]     record n is at n modulo the capacity
 *                           └ last └ first
 */
export class EventRing implements EventFeed {
  readonly #clock: Clock;
  readonly #capacity: number;
  readonly #records: Kept[] = [];
  readonly #news = new Subscribers<undefined>();
  /** Sequence numbers of the records that are kept; none if the first is above the last. */
  #first = 1;
  #last = 0;

  constructor(clock: Clock, capacity = mostRecords) {
    this.#clock = clock;
    this.#capacity = capacity;
  }

  /** @param ageMs how long ago it happened */
  add(record: NewRecord, ageMs = 0): void {
    const sequence = ++this.#last;
    const event = { sequence, atMs: Math.round(this.#clock.wallMs() - ageMs), ...record };
    this.#records[sequence % this.#capacity] = { event, heardAtMs: this.#clock.monotonicMs() - ageMs };
    this.#first = Math.max(this.#first, sequence - this.#capacity + 1);
    this.#news.tell(undefined);
  }

  positionBefore(ageMs: number): number {
    this.#forget();
    if (ageMs <= 0) {
      return this.#last;
    }
    const sinceMs = this.#clock.monotonicMs() - ageMs;
    let [low, high] = [this.#first, this.#last + 1];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if ((this.#at(middle)?.heardAtMs ?? 0) < sinceMs) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low - 1;
  }

  read(position: number, most: number): EventBatch {
    this.#forget();
    const from = Math.max(position + 1, this.#first);
    const to = Math.min(this.#last, from + most - 1);
    const events: RecordedEvent[] = [];
    for (let sequence = from; sequence <= to; sequence++) {
      const kept = this.#at(sequence);
      if (kept) {
        events.push(kept.event);
      }
    }
    return { events, missed: from - position - 1, position: Math.max(position, to, from - 1) };
  }

  subscribe(listener: () => void): () => void {
    return this.#news.add(listener);
  }

  #at(sequence: number): Kept | undefined {
    return this.#records[sequence % this.#capacity];
  }

  #forget(): void {
    const sinceMs = this.#clock.monotonicMs() - keptMs;
    while (this.#first <= this.#last && (this.#at(this.#first)?.heardAtMs ?? 0) < sinceMs) {
      delete this.#records[this.#first % this.#capacity];
      this.#first++;
    }
  }
}
