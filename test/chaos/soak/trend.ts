import { markdownTable } from '../../support/markdown.js';
/** One metric over the time of a soak. */
export interface Series {
  readonly name: string;
  readonly unit: 'MiB' | '';
  /** Which sample represents a stretch of time: for memory the least, after garbage collection. */
  readonly by: 'least' | 'most';
  /** Increase that does not count as growth: a share of the early value, plus an amount. */
  readonly allowed: { readonly share: number; readonly amount: number };
  readonly points: { readonly minutes: number; readonly value: number }[];
}

export interface Trend {
  readonly name: string;
  readonly unit: Series['unit'];
  readonly first: number;
  /** In the second quarter, when caches are full. */
  readonly early: number;
  /** In the last quarter. */
  readonly late: number;
  readonly perHour: number;
  readonly limit: number;
  readonly grows: boolean;
}

/** @throws Error if there are too few points for a trend */
export function trendOf({ name, unit, by, allowed, points }: Series): Trend {
  if (points.length < 8) {
    throw new Error(`${name}: ${points.length} samples are too few for a trend`);
  }
  const quarter = Math.floor(points.length / 4);
  const of = (some: Series['points']) => {
    const values = some.map(({ value }) => value);
    return by === 'least' ? Math.min(...values) : Math.max(...values);
  };
  const early = of(points.slice(quarter, 2 * quarter));
  const late = of(points.slice(-quarter));
  const limit = early * (1 + allowed.share) + allowed.amount;
  return {
    name,
    unit,
    first: points[0]?.value ?? 0,
    early,
    late,
    perHour: slope(points.slice(quarter)) * 60,
    limit,
    grows: late > limit,
  };
}

/** Slope of the best-fitting line, per minute. */
function slope(points: Series['points']): number {
  const mean = (of: (point: Series['points'][number]) => number) =>
    points.reduce((sum, point) => sum + of(point), 0) / points.length;
  const meanX = mean(({ minutes }) => minutes);
  const meanY = mean(({ value }) => value);
  const variance = mean(({ minutes }) => (minutes - meanX) ** 2);
  const covariance = mean(({ minutes, value }) => (minutes - meanX) * (value - meanY));
  return variance === 0 ? 0 : covariance / variance;
}

/** The trends as a table. */
export function trendTable(trends: readonly Trend[]): string {
  const headings = ['figure', 'first', 'early', 'late', 'per hour', 'limit', ''];
  const lines = trends.map(({ name, unit, first, early, late, perHour, limit, grows }) => [
    name,
    ...[first, early, late, perHour, limit].map((value) => `${value.toFixed(unit ? 1 : 0)} ${unit}`.trim()),
    grows ? 'GROWS' : 'flat',
  ]);
  return markdownTable(headings, lines);
}
