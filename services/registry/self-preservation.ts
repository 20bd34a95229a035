import type { Clock } from '../runtime/clock.js';
import type { ViewHealth } from './view-health.js';

export interface SelfPreservationOptions {
  /** Share of the relays, 0-100, whose loss within the window is believed while the view is suspect. 100: any. */
  readonly percent: number;
  readonly windowMs: number;
}

/**
 * Doubts that many relays are gone when it is likelier that the view of them is wrong: relays die one by one, but all
 * leases expire together when etcd was away.
 */
export class SelfPreservation {
  readonly #options: SelfPreservationOptions;
  readonly #viewHealth: ViewHealth;
  readonly #clock: Clock;
  /** When each relay vanished, within the window, by the monotonic clock. */
  #lossesMs: number[] = [];

  constructor(options: SelfPreservationOptions, viewHealth: ViewHealth, clock: Clock) {
    this.#options = options;
    this.#viewHealth = viewHealth;
    this.#clock = clock;
  }

  /**
   * @param vanished how many relays vanished just now
   * @param left how many are still registered
   * @returns why the loss must not be believed before the relays were listed again; undefined if it can be
   */
  reasonToDoubt(vanished: number, left: number): string | undefined {
    const { percent, windowMs } = this.#options;
    const nowMs = this.#clock.monotonicMs();
    this.#lossesMs = this.#lossesMs.filter((atMs) => nowMs - atMs <= windowMs);
    for (let i = 0; i < vanished; i++) {
      this.#lossesMs.push(nowMs);
    }
    const losses = this.#lossesMs.length;
    return losses > ((left + losses) * percent) / 100 ? this.#viewHealth.reason : undefined;
  }
}
