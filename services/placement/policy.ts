import type { Candidate } from './candidate.js';

/**
 * Chooses one of the candidates for a call. They are eligible, sorted by id, and at least one; a policy
 * never filters and never fetches.
 */
export interface Policy {
  choose(candidates: readonly Candidate[], callKey: string, nowMs: number): Candidate;
}

/** For a list that its caller knows is not empty. */
export function first<T>(items: readonly T[]): T {
  const [item] = items;
  if (item === undefined) {
    throw new RangeError('a policy was given no candidate');
  }
  return item;
}
