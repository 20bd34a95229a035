import type { Random } from '../plan/random.js';
import type { Outcome } from '../record/recorder.js';

export interface KnownCall {
  readonly callId: string;
  /** From the last answer; 0 without one. */
  generation: number;
  /** Set up through a gateway: gRPC requests only select and look it up. */
  readonly isNg: boolean;
}

/** Limits on calls in progress and on ended calls: the TTL ends older ones. */
const maxLive = 1200;
const maxEnded = 400;
/** A few ended calls get requests again and again, through the linger and beyond. */
const persistent = 12;
const persistence = 0.02;
/** Most requests are for recent calls, and some for a few long ones. */
const recent = 60;
const busy = 30;
const busyShare = 0.02;

/** The calls that the proxies know. */
export class Calls {
  #live: KnownCall[] = [];
  #busy: KnownCall[] = [];
  readonly #ended: KnownCall[] = [];
  readonly #persistent: KnownCall[] = [];
  readonly #random: Random;
  #count = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** A new call. */
  begin(isNg = false): KnownCall {
    const call = { callId: `c${++this.#count}@chaos.example`, generation: 0, isNg };
    this.#live.push(call);
    if (this.#busy.length < busy || this.#random.chance(busyShare)) {
      this.#busy = [...this.#busy.slice(1 - busy), call];
    }
    if (this.#live.length > maxLive) {
      this.#bury(this.#live.shift() as KnownCall);
    }
    return call;
  }

  end(call: KnownCall): void {
    this.#live = this.#live.filter((other) => other !== call);
    this.#busy = this.#busy.filter((other) => other !== call);
    this.#bury(call);
  }

  live(): KnownCall | undefined {
    if (this.#live.length === 0) {
      return undefined;
    }
    const lot = this.#random.next();
    if (lot < 0.4) {
      return this.#random.pick(this.#live.slice(-recent));
    }
    return this.#random.pick(lot < 0.7 && this.#busy.length > 0 ? this.#busy : this.#live);
  }

  /** A call that was released, or dropped by its proxy, for a late retransmission. */
  ended(): KnownCall | undefined {
    const among = this.#random.chance(0.7) ? this.#persistent : this.#ended;
    return among.length > 0 ? this.#random.pick(among) : undefined;
  }

  hear(call: KnownCall, { answer }: Outcome): void {
    if (answer && answer.freshness === 'fresh') {
      call.generation = answer.generation;
    }
  }

  #bury(call: KnownCall): void {
    this.#ended.push(call);
    if (this.#ended.length > maxEnded) {
      this.#ended.shift();
    }
    if (this.#persistent.length >= persistent && !this.#random.chance(persistence)) {
      return;
    }
    this.#persistent.push(call);
    if (this.#persistent.length > persistent) {
      this.#persistent.shift();
    }
  }
}
