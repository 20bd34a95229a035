import type { Candidate } from './candidate.js';
import { first, type Policy } from './policy.js';

/**
 * Smooth weighted round-robin: each turn every candidate gains its weight, the richest is chosen and pays the
 * sum. Weights 5, 1, 1 give a a b a c a a rather than a a a a a b c. Each replica keeps its own turn.
 */
export class RoundRobin implements Policy {
  #credit = new Map<string, number>();

  choose(candidates: readonly Candidate[]): Candidate {
    let chosen = first(candidates);
    let most = Number.NEGATIVE_INFINITY;
    let sum = 0;
    // Rebuilt each turn, so that a relay which left leaves nothing behind.
    const credit = new Map<string, number>();
    for (const candidate of candidates) {
      const gained = (this.#credit.get(candidate.id) ?? 0) + candidate.weight;
      credit.set(candidate.id, gained);
      sum += candidate.weight;
      if (gained > most) {
        most = gained;
        chosen = candidate;
      }
    }
    credit.set(chosen.id, most - sum);
    this.#credit = credit;
    return chosen;
  }
}
