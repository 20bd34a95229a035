import type { Unit } from './bench-case.js';
import type { CaseRecord } from './results.js';
import { quantile } from './statistics.js';
import { figure } from './table.js';
import type { Judged } from './verdict.js';

/** A row that was measured before, too. */
export interface Comparison {
  readonly name: string;
  /** How much more time or space it takes than before: 1.1 is a tenth more. */
  readonly cost: number;
  /** How far the rounds of either run are spread about their median, as a share of it; the wider one. */
  readonly noise: number;
  readonly isSlower: boolean;
}

/** Of all others, less is better. */
const moreIsBetter: ReadonlySet<Unit> = new Set(['/s']);

/** Rows of both, by their names. Where a row has a baseline its ratio counts, which carries over to other machines. */
export function compare(
  before: Readonly<Record<string, Pick<CaseRecord, 'rows'>>>,
  now: readonly Judged[],
): Comparison[] {
  const old = new Map(Object.values(before).flatMap(({ rows }) => rows.map((row) => [row.name, row])));
  return now.flatMap((row) => {
    const former = old.get(row.name);
    return former ? [comparison(former, row)] : [];
  });
}

export function comparisonText({ name, cost, noise, isSlower }: Comparison): string {
  const change = `${cost >= 1 ? '+' : '−'}${figure(Math.abs(cost - 1) * 100)} %`;
  return `${name}: ${change} cost, noise ${figure(noise * 100)} %${isSlower ? ', SLOWER' : ''}`;
}

function comparison(former: Judged, row: Judged): Comparison {
  const [before, now] = [former, row].map(valuesOf) as [number[], number[]];
  const change = quantile(now, 0.5) / quantile(before, 0.5);
  const cost = moreIsBetter.has(row.unit) ? 1 / change : change;
  const noise = Math.max(spread(before), spread(now));
  return { name: row.name, cost, noise, isSlower: cost > 1 + noise };
}

function valuesOf({ baseline, candidate }: Judged): number[] {
  return candidate.map((value, round) => value / (baseline[round] ?? 1));
}

/** The middle half, and no less than a hundredth: one round says nothing of its spread. */
function spread(values: readonly number[]): number {
  const middle = quantile(values, 0.75) - quantile(values, 0.25);
  return Math.max(0.01, middle / quantile(values, 0.5));
}
