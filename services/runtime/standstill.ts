import type { Clock } from './clock.js';

const periodMs = 500;
/** However much comes: it is caught up with after this time, ms. */
const mostCatchUpMs = 200;

/**
 * Notices that the process stood still: it was suspended, or had no processor for a long time. What the system received meanwhile
 * is read afterwards as if it had just come.
 */
export class Standstill {
  readonly #clock: Clock;
  readonly #limitMs: number;
  /** When the process was last seen running. */
  #seenMs = 0;
  #cancel = () => {};
  #catchingUp = false;
  #read = false;

  /** @param limitMs how long it may stand still unnoticed; up to half a second more is not noticed either */
  constructor(clock: Clock, limitMs: number) {
    this.#clock = clock;
    this.#limitMs = limitMs;
  }

  start(): void {
    this.#seenMs = this.#clock.monotonicMs();
    this.#cancel();
    this.#cancel = this.#clock.after(periodMs, () => this.#tick());
  }

  stop(): void {
    this.#cancel();
  }

  /** Something was read. @returns whether it may have come before a standstill */
  isOld(): boolean {
    this.#look();
    this.#read = true;
    return this.#catchingUp;
  }

  #tick(): void {
    this.#look();
    this.#cancel = this.#clock.after(periodMs, () => this.#tick());
  }

  #look(): void {
    const nowMs = this.#clock.monotonicMs();
    const stoodStill = nowMs - this.#seenMs > periodMs + this.#limitMs;
    this.#seenMs = nowMs;
    if (stoodStill && !this.#catchingUp) {
      this.#catchingUp = true;
      void this.#catchUp(nowMs + mostCatchUpMs);
    }
  }

  /** Until the event loop comes round without having read anything. */
  async #catchUp(untilMs: number): Promise<void> {
    do {
      this.#read = false;
      await wholeTurn();
    } while (this.#read && this.#clock.monotonicMs() < untilMs);
    this.#catchingUp = false;
  }
}

/** Resolves when what the system had received before has been read: after one whole turn of the event loop. */
export async function wholeTurn(): Promise<void> {
  for (let turns = 0; turns < 2; turns++) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}
