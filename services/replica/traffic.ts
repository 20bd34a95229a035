import { relayKey } from '../domain/relay.js';
import type { TrafficRates } from '../domain/status.js';
import type { Clock } from '../runtime/clock.js';

/** Rates are over this many whole seconds before the current one. */
const windowSeconds = 10;
/** Upper bounds of durations: a tenth of a millisecond, then each a fifth above the one before, to about 12 s. */
const boundsMs = Array.from({ length: 65 }, (_, at) => 0.1 * 1.2 ** at);
const logOfStep = Math.log(1.2);
const quantile = 0.99;

/** What was counted within one second. */
interface Second {
  at: number;
  requests: number;
  readonly durations: Float64Array;
  bound: number;
  readonly boundByRelay: Map<string, number>;
}

/**
 * Rates of the last seconds, for people. A second is a slot of a ring, which is emptied by the first that counts in it again:
 *
 *     [ 20 │ 21 │ 22 │ 13 │ 14 │ … │ 19 ]     second n is at n modulo the length
 *                  └ now  └ the oldest
 */
export class Traffic {
  readonly #clock: Clock;
  readonly #startedAtMs: number;
  readonly #ring: readonly Second[];

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startedAtMs = clock.monotonicMs();
    this.#ring = Array.from({ length: windowSeconds + 1 }, () => ({
      at: -1,
      requests: 0,
      durations: new Float64Array(boundsMs.length),
      bound: 0,
      boundByRelay: new Map(),
    }));
  }

  /** A request for a call was answered. */
  answered(durationMs: number): void {
    const second = this.#now();
    const bound = durationMs <= 0.1 ? 0 : Math.ceil(Math.log(durationMs * 10) / logOfStep);
    const at = Math.min(bound, boundsMs.length - 1);
    second.requests++;
    second.durations[at] = (second.durations[at] as number) + 1;
  }

  /** A call was bound to this relay. */
  bound(set: string, relay: string): void {
    const second = this.#now();
    const key = relayKey(set, relay);
    second.bound++;
    second.boundByRelay.set(key, (second.boundByRelay.get(key) ?? 0) + 1);
  }

  rates(): TrafficRates {
    const nowMs = this.#clock.monotonicMs();
    const now = Math.floor(nowMs / 1000);
    const seconds = this.#ring.filter(({ at }) => at >= 0 && at < now && at >= now - windowSeconds);
    const length = Math.max(1, Math.min(windowSeconds, Math.floor((nowMs - this.#startedAtMs) / 1000)));
    const newByRelay = new Map<string, number>();
    for (const { boundByRelay } of seconds) {
      for (const [key, count] of boundByRelay) {
        newByRelay.set(key, (newByRelay.get(key) ?? 0) + count / length);
      }
    }
    const bound = seconds.reduce((sum, second) => sum + second.bound, 0);
    return { newPerSecond: bound / length, newByRelay, p99Ms: p99(seconds) };
  }

  #now(): Second {
    const at = Math.floor(this.#clock.monotonicMs() / 1000);
    const second = this.#ring[at % this.#ring.length] as Second;
    if (second.at !== at) {
      second.at = at;
      second.requests = 0;
      second.durations.fill(0);
      second.bound = 0;
      second.boundByRelay.clear();
    }
    return second;
  }
}

/** The bound that so many durations keep; a fifth too much at most. */
function p99(seconds: readonly Second[]): number | undefined {
  const requests = seconds.reduce((sum, second) => sum + second.requests, 0);
  let left = Math.ceil(requests * quantile);
  if (left === 0) {
    return undefined;
  }
  for (const [at, boundMs] of boundsMs.entries()) {
    left -= seconds.reduce((sum, { durations }) => sum + (durations[at] as number), 0);
    if (left <= 0) {
      return boundMs;
    }
  }
  return boundsMs.at(-1);
}
