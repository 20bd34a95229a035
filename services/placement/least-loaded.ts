import type { Candidate } from './candidate.js';
import { first, type Policy } from './policy.js';
import { Rendezvous } from './rendezvous.js';

/**
 * Weighted power of two choices (Mitzenmacher 2001): two candidates drawn by weight, the one with fewer calls
 * per weight takes the call. Spreads well without the herd that "always the least loaded" makes of replicas
 * which see the same report. Where a report is too old to trust, rendezvous decides.
 */
export class LeastLoaded implements Policy {
  readonly #withoutReports = new Rendezvous();
  readonly #random: () => number;
  #list: readonly Candidate[] = [];
  #cumulative = new Float64Array();

  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  choose(candidates: readonly Candidate[], callKey: string, nowMs: number): Candidate {
    if (candidates.length === 1) {
      return first(candidates);
    }
    if (candidates !== this.#list) {
      this.#weigh(candidates);
    }
    const one = this.#draw(candidates);
    const two = this.#draw(candidates);
    if (!one.hasFreshReport(nowMs) || !two.hasFreshReport(nowMs)) {
      return this.#withoutReports.choose(candidates, callKey);
    }
    return one.calls / one.weight <= two.calls / two.weight ? one : two;
  }

  /** Running sums of the weights; kept while the same list is passed, which is the usual case. */
  #weigh(candidates: readonly Candidate[]): void {
    this.#list = candidates;
    this.#cumulative = new Float64Array(candidates.length);
    let sum = 0;
    for (let i = 0; i < candidates.length; i++) {
      sum += (candidates[i] as Candidate).weight;
      this.#cumulative[i] = sum;
    }
  }

  #draw(candidates: readonly Candidate[]): Candidate {
    const sums = this.#cumulative;
    let high = sums.length - 1;
    const target = this.#random() * (sums[high] as number);
    let low = 0;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((sums[middle] as number) > target) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return candidates[low] as Candidate;
  }
}
