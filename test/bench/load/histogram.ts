const growth = Math.log(1.01);
const buckets = 2400;

/** Durations in buckets that each are 1 % wider than the one before: exact enough, and of constant size. */
export class Histogram {
  readonly #counts = new Uint32Array(buckets);
  count = 0;

  add(us: number): void {
    const bucket = Math.min(buckets - 1, Math.max(0, Math.floor(Math.log(us + 1) / growth)));
    this.#counts[bucket] = (this.#counts[bucket] as number) + 1;
    this.count++;
  }

  /** The quantile `share`, µs. */
  quantile(share: number): number {
    const wanted = share * this.count;
    let seen = 0;
    for (let bucket = 0; bucket < buckets; bucket++) {
      seen += this.#counts[bucket] as number;
      if (seen >= wanted) {
        return Math.exp((bucket + 0.5) * growth) - 1;
      }
    }
    return Number.NaN;
  }
}
