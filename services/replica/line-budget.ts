import type { Clock } from '../runtime/clock.js';

/** Lines of one kind that are written in full within a period; the rest are counted. */
export const lineLimit = { most: 100, periodMs: 10_000 };

/** Bounds the lines of one kind: a set of relays that dies would write one for each relay, and one for each of its calls. */
export class LineBudget {
  readonly #clock: Clock;
  readonly #onFolded: (count: number) => void;
  #left = lineLimit.most;
  #folded = 0;
  #isRunning = false;

  /** @param onFolded told at the end of a period how many lines were too many */
  constructor(clock: Clock, onFolded: (count: number) => void) {
    this.#clock = clock;
    this.#onFolded = onFolded;
  }

  /** False if the line must not be written. */
  spend(): boolean {
    if (!this.#isRunning) {
      this.#isRunning = true;
      this.#clock.after(lineLimit.periodMs, () => this.#renew());
    }
    if (this.#left === 0) {
      this.#folded++;
      return false;
    }
    this.#left--;
    return true;
  }

  #renew(): void {
    const folded = this.#folded;
    this.#left = lineLimit.most;
    this.#folded = 0;
    this.#isRunning = false;
    if (folded > 0) {
      this.#onFolded(folded);
    }
  }
}
