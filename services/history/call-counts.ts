import type { Clock } from '../runtime/clock.js';

/** A count is told after the first of these, and then after ever longer ones while it goes on: a storm is no flood of records. */
const periodsMs = [1000, 10_000, 60_000] as const;
/** What is counted apart at the same time. */
const mostKeys = 1000;

interface Count<T> {
  readonly of: T;
  number: number;
  /** Periods that have passed. */
  told: number;
}

/** Counts what happens to calls, by what happens to them, and tells the numbers: "336 calls of relay-1 moved". */
export class CallCounts<T> {
  readonly #clock: Clock;
  readonly #tell: (of: T, number: number) => void;
  readonly #counts = new Map<string, Count<T>>();

  constructor(clock: Clock, tell: (of: T, number: number) => void) {
    this.#clock = clock;
    this.#tell = tell;
  }

  /** @param key what is alike has the same */
  add(key: string, of: T): void {
    const count = this.#counts.get(key);
    if (count) {
      count.number++;
      return;
    }
    if (this.#counts.size >= mostKeys) {
      const [[oldest = '', { of, number }] = ['', { of: undefined, number: 0 }]] = this.#counts;
      this.#counts.delete(oldest);
      if (of !== undefined && number > 0) {
        this.#tell(of, number);
      }
    }
    const begun = { of, number: 1, told: 0 };
    this.#counts.set(key, begun);
    this.#tellLater(key, begun);
  }

  #tellLater(key: string, count: Count<T>): void {
    const period = periodsMs[Math.min(count.told, periodsMs.length - 1)] ?? periodsMs[0];
    this.#clock.after(period, () => {
      if (this.#counts.get(key) !== count) {
        return;
      }
      if (count.number === 0) {
        this.#counts.delete(key);
        return;
      }
      const { number } = count;
      count.number = 0;
      count.told++;
      this.#tell(count.of, number);
      this.#tellLater(key, count);
    });
  }
}
