import type { Context } from './bench-case.js';

export interface Rounds<B, C> {
  readonly baseline: B[];
  readonly candidate: C[];
}

/**
 * Measures baseline and candidate in turn, so that other load on the machine affects both. Every second round is in reverse
 * order, so that neither always follows the other.
 */
export async function inTurn<B, C>(
  { progress }: Context,
  count: number,
  baseline: (round: number) => Promise<B>,
  candidate: (round: number) => Promise<C>,
): Promise<Rounds<B, C>> {
  const rounds: Rounds<B, C> = { baseline: [], candidate: [] };
  for (let round = 0; round < count; round++) {
    progress(`round ${round + 1} of ${count}`);
    const turns = [
      async () => void rounds.baseline.push(await baseline(round)),
      async () => void rounds.candidate.push(await candidate(round)),
    ];
    if (round % 2 === 1) {
      turns.reverse();
    }
    for (const turn of turns) {
      await turn();
    }
  }
  return rounds;
}
