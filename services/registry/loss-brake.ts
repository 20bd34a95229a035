import type { Clock } from '../runtime/clock.js';
import type { Suspicion } from './suspicion.js';

export interface LossBrakeSettings {
  /** Share of the relays, 0-100, that may vanish within the window and be believed; 100 believes all. */
  readonly percent: number;
  readonly windowMs: number;
}

/**
 * Doubts that many relays are gone, where it is likelier that the view of them is wrong: relays die one by one, but all
 * leases run out together when their keeper was away.
 */
export class LossBrake {
  readonly #settings: LossBrakeSettings;
  readonly #suspicion: Suspicion;
  readonly #clock: Clock;
  /** When relays vanished, within the window. */
  #lossesMs: number[] = [];

  constructor(settings: LossBrakeSettings, suspicion: Suspicion, clock: Clock) {
    this.#settings = settings;
    this.#suspicion = suspicion;
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
    for (let i = 0; i < vanished; i++) this.#lossesMs.push(nowMs);
    const losses = this.#lossesMs.length;
    return losses > ((left + losses) * percent) / 100 ? this.#suspicion.reason : undefined;
  }
}
