import { BlockList, isIPv6 } from 'node:net';
import type { Clock } from '../runtime/clock.js';
import type { Network } from '../runtime/network.js';

export interface AdmissionSettings {
  /** Networks that may ask. */
  readonly allowed: readonly Network[];
  /** Datagrams that one source address may send per second; twice as many in a burst. 0 is no limit. */
  readonly perSourcePerSecond: number;
}

/** Sources that are counted at once; beyond it the one that was quiet longest is forgotten. */
const maxSources = 4096;

interface Bucket {
  tokens: number;
  atMs: number;
}

/** Who may ask, and how often. UDP sources can be forged, so this keeps out mistakes and floods, not spies. */
export class Admission {
  readonly #allowed = new BlockList();
  readonly #rate: number;
  readonly #clock: Clock;
  /** By source, the one that was quiet longest first. */
  readonly #buckets = new Map<string, Bucket>();
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
    if (this.#rate === 0 || this.#takeToken(bucket)) {
      return true;
    }
    this.counters.tooMany++;
    return false;
  }

  #takeToken(bucket: Bucket): boolean {
    const nowMs = this.#clock.monotonicMs();
    bucket.tokens = Math.min(this.#rate * 2, bucket.tokens + ((nowMs - bucket.atMs) / 1000) * this.#rate);
    bucket.atMs = nowMs;
    if (bucket.tokens < 1) {
      return false;
    }
    bucket.tokens--;
    return true;
  }

  /** Undefined for a source that is not allowed: it leaves nothing behind. */
  #begin(source: string): Bucket | undefined {
    if (!this.#allowed.check(source, isIPv6(source) ? 'ipv6' : 'ipv4')) {
      return undefined;
    }
    if (this.#buckets.size >= maxSources) {
      const [quietest = ''] = this.#buckets.keys();
      this.#buckets.delete(quietest);
    }
    return { tokens: this.#rate * 2, atMs: this.#clock.monotonicMs() };
  }
}
