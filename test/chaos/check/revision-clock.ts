import type { LogRecord } from '../record/records.js';

/**
 * Bounds on the time of each revision, which etcd does not record. It is later than the sending of any linearizable read
 * that found an older revision, and no later than the first sight of it or of a newer one.
 */
export class RevisionClock {
  /** Observations by revision. Both columns ascend. */
  readonly #revisions: number[] = [];
  readonly #askedAtMs: number[] = [];
  readonly #seen: { revision: number; atMs: number }[] = [];

  constructor(log: readonly LogRecord[]) {
    const ticks = log.filter((record) => record.type === 'tick');
    for (const { revision, askedAtMs } of ticks.sort((a, b) => a.askedAtMs - b.askedAtMs)) {
      // Concurrent reads are answered in any order: the one that proves less is left out.
      if (revision < (this.#revisions.at(-1) ?? 0)) {
        continue;
      }
      this.#revisions.push(revision);
      this.#askedAtMs.push(askedAtMs);
    }
    const seen = log
      .map(({ revision, atMs }) => ({ revision, atMs }))
      .sort((a, b) => b.revision - a.revision);
    let earliestMs = Number.POSITIVE_INFINITY;
    for (const { revision, atMs } of seen) {
      earliestMs = Math.min(earliestMs, atMs);
      this.#seen.push({ revision, atMs: earliestMs });
    }
    this.#seen.reverse();
  }

  /** Lower bound of the revision's time. */
  after(revision: number): number {
    const at = firstIndex(this.#revisions.length, (i) => (this.#revisions[i] as number) >= revision);
    return this.#askedAtMs[at - 1] ?? Number.NEGATIVE_INFINITY;
  }

  /** Upper bound of the revision's time. */
  by(revision: number): number {
    const at = firstIndex(this.#seen.length, (i) => (this.#seen[i]?.revision ?? 0) >= revision);
    return this.#seen[at]?.atMs ?? Number.POSITIVE_INFINITY;
  }
}

/** The first index for which a monotonic condition holds; the length if there is none. */
function firstIndex(length: number, holds: (index: number) => boolean): number {
  let low = 0;
  let high = length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (holds(middle)) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}
