import { type Clock, sleep } from './clock.js';

export interface BackoffOptions {
  /** Mean of the first pause, ms. */
  readonly firstMs: number;
  /** No pause is longer, ms. */
  readonly mostMs: number;
}

/**
 * The pauses between retries. Each is twice the last, up to a bound, and up to half shorter or longer at random, so that
 * many processes that failed together do not retry together.
 */
export class Backoff {
  readonly #options: BackoffOptions;
  readonly #clock: Clock;
  readonly #random: () => number;
  #meanMs: number;

  /** @param random uniform in [0, 1) */
  constructor(options: BackoffOptions, clock: Clock, random: () => number = Math.random) {
    this.#options = options;
    this.#clock = clock;
    this.#random = random;
    this.#meanMs = options.firstMs;
  }

  /** Resolves after the next pause, or at once when the signal aborts. Never rejects. */
  pause(signal?: AbortSignal): Promise<void> {
    return sleep(this.#clock, this.next(), signal);
  }

  /** The length of the next pause, for those who wait in their own way, ms. */
  next(): number {
    const meanMs = this.#meanMs;
    this.#meanMs = Math.min(this.#options.mostMs, meanMs * 2);
    return Math.min(this.#options.mostMs, meanMs * (0.5 + this.#random()));
  }

  /** To be called after a success: the next pause is the first again. */
  reset(): void {
    this.#meanMs = this.#options.firstMs;
  }
}
