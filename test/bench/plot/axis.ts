import type { PlotAxis } from '../bench-case.js';

/** An axis of a plot: positions of values, and labeled ticks. */
export interface Axis {
  place(value: number): number;
  readonly ticks: readonly { readonly at: number; readonly label: string }[];
}

const wantedTicks = 6;

/** @param from position of the least value @param to position of the greatest */
export function axisFor({ scale }: PlotAxis, values: readonly number[], from: number, to: number): Axis {
  return scale === 'log' ? logAxis(values, from, to) : linearAxis(values, from, to);
}

function linearAxis(values: readonly number[], from: number, to: number): Axis {
  const most = Math.max(...values, 1e-9);
  const step = niceStep(most / wantedTicks);
  const end = Math.ceil(most / step) * step;
  const place = (value: number) => from + ((to - from) * value) / end;
  const count = Math.round(end / step);
  return { place, ticks: Array.from({ length: count + 1 }, (_, i) => tick(place, i * step)) };
}

/** Powers of ten if the values span several; otherwise also 2 and 5 times these. */
function logAxis(values: readonly number[], from: number, to: number): Axis {
  const positive = values.filter((value) => value > 0);
  const candidates = Array.from({ length: 24 }, (_, i) => i - 9).flatMap((exponent) =>
    [1, 2, 5].map((digit) => digit * 10 ** exponent),
  );
  const least = candidates.findLast((value) => value <= Math.min(...positive) * 1.001) ?? 1;
  const most = candidates.find((value) => value >= Math.max(...positive) * 0.999) ?? 10;
  const [low, high] = least === most ? [least / 2, most * 2] : [least, most];
  const place = (value: number) => from + ((to - from) * Math.log(value / low)) / Math.log(high / low);
  const inside = candidates.filter((value) => value >= low * 0.999 && value <= high * 1.001);
  const decades = inside.filter(
    (value) => Math.abs(Math.log10(value) - Math.round(Math.log10(value))) < 1e-9,
  );
  const shown = inside.length > wantedTicks + 3 && decades.length >= 3 ? decades : inside;
  return { place, ticks: shown.map((value) => tick(place, value)) };
}

function niceStep(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * ([1, 2, 5, 10].find((factor) => factor * power >= rough) ?? 10);
}

function tick(place: (value: number) => number, value: number) {
  return { at: place(value), label: label(value) };
}

function label(value: number): string {
  return value.toLocaleString('en-US', { maximumSignificantDigits: 3 });
}
