import type { Clock } from '../runtime/clock.js';
import type { ViewHealth } from './view-health.js';

export interface SelfPreservationSettings {
  /** Share of the relays, 0-100, that may vanish within the window and be believed; 100 believes all. */
  readonly percent: number;
  readonly windowMs: number;
}

/**
 * Doubts that many relays are gone, where it is likelier that the view of them is wrong: relays die one by one, but all
 * leases run out together when their keeper was away.
 */
export class SelfPreservation {
  readonly #settings: SelfPreservationSettings;
  readonly #viewHealth: ViewHealth;
  readonly #clock: Clock;
  /** When relays vanished, within the window. */
  #lossesMs: number[] = [];

  constructor(settings: SelfPreservationSettings, viewHealth: ViewHealth, clock: Clock) {
    this.#settings = settings;
    this.#viewHealth = viewHealth;
    this.#clock = clock;
  }

  /**
   * So many relays have vanished at once.
   * @param left how many are there still
   * @returns why that is not to be believed before it was listed again, or undefined
   */
  doubt(vanished: number, left: number): string | undefined {
    const { percent, windowMs } = this.#settings;
    const nowMs = this.#clock.monotonicMs();
    this.#lossesMs = this.#lossesMs.filter((atMs) => nowMs - atMs <= windowMs);
    for (let i = 0; i < vanished; i++) {
      this.#lossesMs.push(nowMs);
    }
    const losses = this.#lossesMs.length;
    return losses > ((left + losses) * percent) / 100 ? this.#viewHealth.reason : undefined;
  }
}
