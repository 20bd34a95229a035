import type { Candidate } from './candidate.js';
import { combine, hashText } from './hash.js';
import { first, type Policy } from './policy.js';

/** What ranks the candidates of a list, side by side in memory: a choice reads all of it. */
interface Ranks {
  readonly hashes: Uint32Array;
  readonly weights: Float64Array;
}

/**
 * Weighted rendezvous hashing (HRW; score −w / ln h, Schindelhauer and Schomaker 2005). Replicas that know the
 * same relays choose alike without talking, and a relay that leaves moves nobody else's calls.
 */
export class Rendezvous implements Policy {
  /** The same list comes with nearly every call. */
  readonly #ranks = new WeakMap<readonly Candidate[], Ranks>();

  choose(candidates: readonly Candidate[], callKey: string): Candidate {
    if (candidates.length < 2) {
      return first(candidates);
    }
    const { hashes, weights } = this.#ranksOf(candidates);
    const callHash = hashText(callKey);
    let best = 0;
    let bestHash = combine(callHash, hashes[0] as number);
    let bestWeight = weights[0] as number;
    for (let i = 1; i < hashes.length; i++) {
      const hash = combine(callHash, hashes[i] as number);
      const weight = weights[i] as number;
      // Of equal weights the higher hash has the higher score: the logarithms can be spared.
      if (weight === bestWeight ? hash > bestHash : score(weight, hash) > score(bestWeight, bestHash)) {
        best = i;
        bestHash = hash;
        bestWeight = weight;
      }
    }
    return candidates[best] as Candidate;
  }

  #ranksOf(candidates: readonly Candidate[]): Ranks {
    let ranks = this.#ranks.get(candidates);
    if (!ranks) {
      ranks = {
        hashes: Uint32Array.from(candidates, ({ hash }) => hash),
        weights: Float64Array.from(candidates, ({ weight }) => weight),
      };
      this.#ranks.set(candidates, ranks);
    }
    return ranks;
  }
}

/** @param hash 32 bits, taken for a number drawn evenly from (0, 1) */
function score(weight: number, hash: number): number {
  return -weight / Math.log((hash + 0.5) / 2 ** 32);
}
