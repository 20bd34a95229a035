import type { Candidate } from './candidate.js';
import { first, type Policy } from './policy.js';

/**
 * Smooth weighted round-robin: each turn every candidate gains its weight, the richest is chosen and pays the
 * sum. Weights 5, 1, 1 give a a b a c a a rather than a a a a a b c. Each replica keeps its own turn.
 */
export class RoundRobin implements Policy {
  /** Candidates that a request leaves out keep theirs; those that left take it along. */
  readonly #credit = new WeakMap<Candidate, number>();

  choose(candidates: readonly Candidate[]): Candidate {
    let chosen = first(candidates);
    let most = Number.NEGATIVE_INFINITY;
    let sum = 0;
    for (const candidate of candidates) {
      const gained = (this.#credit.get(candidate) ?? 0) + candidate.weight;
      this.#credit.set(candidate, gained);
      sum += candidate.weight;
      if (gained > most) {
        most = gained;
        chosen = candidate;
      }
    }
    this.#credit.set(chosen, most - sum);
    return chosen;
  }
}
