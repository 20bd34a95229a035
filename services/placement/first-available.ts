import type { Candidate } from './candidate.js';
import { first, type Policy } from './policy.js';

/** The first by id: one relay takes all calls until it is full, drained or gone. */
export class FirstAvailable implements Policy {
  choose(candidates: readonly Candidate[]): Candidate {
    return first(candidates);
  }
}
