import type { Aim, Row } from './bench-case.js';
import { median } from './statistics.js';

/** A row with its medians, compared with its aims. */
export interface Judged extends Row {
  readonly baselineMedian: number | undefined;
  readonly candidateMedian: number;
  /** Median of the rounds' ratios, candidate by baseline. */
  readonly ratio: number | undefined;
  readonly verdict: 'met' | 'missed' | 'no aim';
  /** How far the worst aim was missed, as a share of it. */
  readonly missedBy: number;
}

export function judge(row: Row): Judged {
  const hasBaseline = row.baseline.length > 0;
  const ratio = hasBaseline
    ? median(row.candidate.map((value, round) => value / (row.baseline[round] ?? Number.NaN)))
    : undefined;
  const candidateMedian = median(row.candidate);
  const misses = row.aims.map((aim) => missOf(aim, aim.of === 'ratio' ? ratio : candidateMedian));
  const missedBy = Math.max(0, ...misses);
  return {
    ...row,
    baselineMedian: hasBaseline ? median(row.baseline) : undefined,
    candidateMedian,
    ratio,
    verdict: row.aims.length === 0 ? 'no aim' : missedBy > 0 ? 'missed' : 'met',
    missedBy,
  };
}

function missOf({ least, most }: Aim, value = Number.NaN): number {
  if (least !== undefined && !(value >= least)) {
    return (least - value) / least;
  }
  // A limit of 0 is missed by the value itself.
  if (most !== undefined && !(value <= most)) {
    return most === 0 ? value : (value - most) / most;
  }
  return 0;
}
