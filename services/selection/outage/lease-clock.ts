import type { Clock } from '../../runtime/clock.js';

/**
 * The time by which remembered bindings age. It stands still while etcd is out of reach: a binding that nobody could renew
 * must not run out.
 */
export class LeaseClock {
  readonly #clock: Clock;
  #pausedMs = 0;
  #pausedAtMs: number | undefined;
  #resumedAtMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  nowMs(): number {
    return (this.#pausedAtMs ?? this.#clock.monotonicMs()) - this.#pausedMs;
  }

  /** @param sinceMs when etcd was last known to answer, by the monotonic clock: what ran since then is taken back */
  pause(sinceMs = this.#clock.monotonicMs()): void {
    this.#pausedAtMs ??= Math.max(sinceMs, this.#resumedAtMs);
  }

  /** @returns how long it stood still, ms */
  resume(): number {
    const nowMs = this.#clock.monotonicMs();
    const pausedMs = nowMs - (this.#pausedAtMs ?? nowMs);
    this.#pausedMs += pausedMs;
    this.#pausedAtMs = undefined;
    this.#resumedAtMs = nowMs;
    return pausedMs;
  }
}
