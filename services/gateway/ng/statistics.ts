import { isDictionary } from '../../control/ng/bencode.js';
import type { NgDictionary, NgValue } from '../../control/ng/message.js';

/**
 * One relay's statistics out of those of several, in rtpengine's shape. Their order has no influence on any number.
 *
 * Counts and rates are added up; `min…`, `max…` and the uptime are extremes; averages are weighted by what they are averages
 * of. An average or deviation whose sums are told beside it is computed from the merged sums.
 */
export function mergeStatistics(each: readonly (NgValue | undefined)[]): NgDictionary {
  return mergeTrees(each.filter(isDictionary));
}

function mergeTrees(trees: readonly NgDictionary[]): NgDictionary {
  const merged: NgDictionary = {};
  for (const name of new Set(trees.flatMap((tree) => Object.keys(tree)))) {
    const holders = trees.filter((tree) => tree[name] !== undefined);
    const value = mergeValues(name, holders);
    if (value !== undefined) {
      merged[name] = value;
    }
  }
  return withMoments(merged, trees);
}

/** @param holders the dictionaries that have it; one that has junk there is outnumbered by the others */
function mergeValues(name: string, holders: readonly NgDictionary[]): NgValue | undefined {
  const values = holders.map((holder) => holder[name] as NgValue);
  const trees = values.filter(isDictionary);
  const lists = values.filter((value) => Array.isArray(value));
  const numeric = holders.filter((holder) => isNumeric(holder[name]));
  const most = Math.max(trees.length, lists.length, numeric.length);
  if (most === 0) {
    return values.map(String).sort()[0];
  }
  if (trees.length === most) {
    return mergeTrees(trees);
  }
  if (lists.length === most) {
    return lists.flat();
  }
  const samples = numeric.map((holder) => ({
    value: Number(holder[name]),
    weight: weightOf(name, holder),
  }));
  return written(
    join(name, samples),
    numeric.map((holder) => holder[name]),
  );
}

function isNumeric(value: NgValue | undefined): boolean {
  const isText = typeof value === 'string' && value.trim() !== '';
  return (isText || typeof value === 'number') && Number.isFinite(Number(value));
}

interface Sample {
  readonly value: number;
  /** How many things the value is an average of; 1 if that is not told. */
  readonly weight: number;
}

function join(name: string, samples: readonly Sample[]): number {
  // An idle relay tells 0 as its shortest delay.
  const seen = samples.filter(({ weight }) => weight > 0);
  const counted = (seen.length > 0 ? seen : samples).map(({ value }) => value);
  if (name === 'uptime' || name.startsWith('min')) {
    return Math.min(...counted);
  }
  if (name.startsWith('max')) {
    return Math.max(...counted);
  }
  if (isMean(name)) {
    return mean(seen.length > 0 ? seen : samples.map(({ value }) => ({ value, weight: 1 })));
  }
  return sum(samples.map(({ value }) => value));
}

function isMean(name: string): boolean {
  return name.startsWith('avg') || /_(average|stddev|pct)$/.test(name);
}

/** Delays of an interval are averages over its requests, which are told as a rate. */
function weightOf(name: string, siblings: NgDictionary): number {
  const [, command] = /^(?:avg|min)(.*)delay$/.exec(name) ?? [];
  const rate = command === undefined ? Number.NaN : Number(siblings[`avg${command}requestrate`]);
  return Number.isFinite(rate) ? rate : 1;
}

function mean(samples: readonly Sample[]): number {
  return sum(samples.map(({ value, weight }) => value * weight)) / sum(samples.map(({ weight }) => weight));
}

/** Smallest first, so that rounding does not depend on the order either. */
function sum(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other).reduce((total, value) => total + value, 0);
}

/** Where sums, sums of squares and their count are told, the average and the deviation follow from them. */
const moments = [
  {
    sum: 'totalcallsduration',
    squares: 'totalcallsduration2',
    count: 'managedsessions',
    average: 'avgcallduration',
    deviation: 'totalcallsduration_stddev',
  },
  {
    sum: 'mos_total',
    squares: 'mos2_total',
    count: 'mos_samples_total',
    average: 'mos_average',
    deviation: 'mos_stddev',
  },
] as const;

function withMoments(merged: NgDictionary, trees: readonly NgDictionary[]): NgDictionary {
  for (const names of moments) {
    // A relay of another kind may count calls and not time them.
    const timed = trees.filter((tree) => names.sum in tree && names.average in tree);
    const total = (name: string) => sum(timed.map((tree) => Number(tree[name])));
    const count = total(names.count);
    if (!(count > 0)) {
      continue;
    }
    const average = total(names.sum) / count;
    const deviation = Math.sqrt(Math.max(0, total(names.squares) / count - average ** 2));
    for (const [name, value] of [
      [names.average, average],
      [names.deviation, deviation],
    ] as const) {
      if (name in merged && Number.isFinite(value)) {
        merged[name] = written(value, [merged[name]]);
      }
    }
  }
  return merged;
}

/** rtpengine tells fractions and the uptime as text, with as many digits as the relays gave. */
function written(value: number, texts: readonly (NgValue | undefined)[]): NgValue {
  const digits = texts.flatMap((text) => (typeof text === 'string' ? [text.split('.')[1]?.length ?? 0] : []));
  if (digits.length > 0) {
    return value.toFixed(Math.min(20, Math.max(...digits)));
  }
  return Number.isSafeInteger(value) ? value : String(value);
}
