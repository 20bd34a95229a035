import { BlockList, isIPv6 } from 'node:net';
import type { Clock } from '../runtime/clock.js';
import type { Network } from '../runtime/network.js';
import { TokenBucket } from '../runtime/token-bucket.js';

export interface AdmissionSettings {
  /** Networks that may ask. */
  readonly allowed: readonly Network[];
  /** Datagrams that one source address may send per second; twice as many in a burst. 0 is no limit. */
  readonly perSourcePerSecond: number;
}

/** Sources that are counted at once; beyond it the one that was quiet longest is forgotten. */
const maxSources = 4096;

/** Who may ask, and how often. UDP sources can be forged, so this keeps out mistakes and floods, not spies. */
export class Admission {
  readonly #allowed = new BlockList();
  readonly #rate: number;
  readonly #clock: Clock;
  /** By source, the one that was quiet longest first. */
  readonly #buckets = new Map<string, TokenBucket>();
  readonly counters = { notAllowed: 0, tooMany: 0 };

  constructor({ allowed, perSourcePerSecond }: AdmissionSettings, clock: Clock) {
    for (const { address, prefixLength } of allowed) {
      this.#allowed.addSubnet(address, prefixLength, isIPv6(address) ? 'ipv6' : 'ipv4');
    }
    this.#rate = perSourcePerSecond;
    this.#clock = clock;
  }

  accepts(source: string): boolean {
    // Who has a bucket was looked up when it was made.
    const bucket = this.#buckets.get(source) ?? this.#begin(source);
    if (!bucket) {
      this.counters.notAllowed++;
      return false;
    }
    this.#buckets.delete(source);
    this.#buckets.set(source, bucket);
    if (this.#rate === 0 || bucket.take()) {
      return true;
    }
    this.counters.tooMany++;
    return false;
  }

  /** Undefined for a source that is not allowed: it leaves nothing behind. */
  #begin(source: string): TokenBucket | undefined {
    if (!this.#allowed.check(source, isIPv6(source) ? 'ipv6' : 'ipv4')) {
      return undefined;
    }
    if (this.#buckets.size >= maxSources) {
      const [quietest = ''] = this.#buckets.keys();
      this.#buckets.delete(quietest);
    }
    return new TokenBucket(this.#clock, this.#rate);
  }
}
