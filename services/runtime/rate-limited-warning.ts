import type { Clock } from './clock.js';
import type { Logger } from './log.js';

/** A warning that clients can cause as often as they like: logged once per period, with the number of those left out. */
export class RateLimitedWarning {
  #sinceMs = Number.NEGATIVE_INFINITY;
  #leftOut = 0;

  constructor(
    private readonly message: string,
    private readonly clock: Clock,
    private readonly log: Logger,
    private readonly periodMs = 1000,
  ) {}

  warn(details: Readonly<Record<string, unknown>>): void {
    const nowMs = this.clock.monotonicMs();
    if (nowMs - this.#sinceMs < this.periodMs) {
      this.#leftOut++;
      return;
    }
    this.log.warn({ ...details, ...(this.#leftOut > 0 ? { leftOut: this.#leftOut } : {}) }, this.message);
    this.#sinceMs = nowMs;
    this.#leftOut = 0;
  }
}
