import type { Candidate } from './candidate.js';
import { combine, hashText } from './hash.js';
import { first, type Policy } from './policy.js';

/**
 * Weighted rendezvous hashing (HRW; score −w / ln h, Schindelhauer and Schomaker 2005). Replicas that know the
 * same relays choose alike without talking, and a relay that leaves moves nobody else's calls.
 */
export class Rendezvous implements Policy {
  choose(candidates: readonly Candidate[], callKey: string): Candidate {
    const callHash = hashText(callKey);
    let best = first(candidates);
    let bestHash = unit(callHash, best);
    for (let i = 1; i < candidates.length; i++) {
      const candidate = candidates[i] as Candidate;
      const hash = unit(callHash, candidate);
      // Of equal weights the higher hash has the higher score: the logarithms can be spared.
      const wins =
        candidate.weight === best.weight
          ? hash > bestHash
          : -candidate.weight / Math.log(hash) > -best.weight / Math.log(bestHash);
      if (wins) {
        best = candidate;
        bestHash = hash;
      }
    }
    return best;
  }
}

/** Uniform in (0, 1), for this call at this relay. */
function unit(callHash: number, candidate: Candidate): number {
  return (combine(callHash, candidate.hash) + 0.5) / 2 ** 32;
}
