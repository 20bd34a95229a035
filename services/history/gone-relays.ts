import type { RelayChange } from '../domain/membership.js';
import { departureReason, type GoneRelay, relayKey } from '../domain/relay.js';
import type { Clock } from '../runtime/clock.js';

const mostGone = 1000;
const keptMs = 24 * 3_600_000;

/** Relays whose registration has ended and that are not back: the latest, for a day. */
export class GoneRelays {
  readonly #clock: Clock;
  /** By `relayKey`, the oldest first. */
  readonly #gone = new Map<string, { readonly relay: GoneRelay; readonly heardAtMs: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  hear({ type, relay }: RelayChange): void {
    const key = relayKey(relay.relay.set, relay.relay.id);
    if (type === 'joined') {
      this.#gone.delete(key);
    }
    if (type !== 'left') {
      return;
    }
    const gone = { ...relay, atMs: Math.round(this.#clock.wallMs()), reason: departureReason(relay) };
    this.#gone.delete(key);
    this.#gone.set(key, { relay: gone, heardAtMs: this.#clock.monotonicMs() });
    if (this.#gone.size > mostGone) {
      const [oldest = ''] = this.#gone.keys();
      this.#gone.delete(oldest);
    }
  }

  /** The instance that a relay had which is gone; undefined of one that is not, or not known. */
  instanceOf(set: string, id: string): string | undefined {
    return this.#gone.get(relayKey(set, id))?.relay.relay.instance;
  }

  /** The latest first. */
  list(set?: string): GoneRelay[] {
    const sinceMs = this.#clock.monotonicMs() - keptMs;
    for (const [key, { heardAtMs }] of this.#gone) {
      if (heardAtMs >= sinceMs) {
        break;
      }
      this.#gone.delete(key);
    }
    const all = [...this.#gone.values()].map(({ relay }) => relay).reverse();
    return set === undefined ? all : all.filter(({ relay }) => relay.set === set);
  }
}
