import { markdownTable } from '../support/markdown.js';
import type { Aim, Unit } from './bench-case.js';
import type { Judged } from './verdict.js';

const headings = ['case', 'baseline', 'median', 'Holdfast', 'ratio', 'aim', ''];

/** The rows as Markdown that is readable in a terminal too. */
export function table(rows: readonly Judged[]): string {
  const lines = rows.map((row) => [
    row.name,
    row.against || '–',
    row.baselineMedian === undefined ? '–' : amount(row.baselineMedian, row.unit),
    amount(row.candidateMedian, row.unit),
    row.ratio === undefined ? '–' : `${figure(row.ratio)}×`,
    row.aims.map((aim) => aimText(aim, row.unit)).join(', ') || '–',
    verdictText(row),
  ]);
  return markdownTable(headings, lines);
}

/** One row in one line. */
export function rowText({ name, unit, against, baselineMedian, candidateMedian }: Judged): string {
  const baseline = baselineMedian === undefined ? '' : `, ${against}: ${amount(baselineMedian, unit)}`;
  return `${name}: ${amount(candidateMedian, unit)}${baseline}`;
}

function verdictText({ verdict, missedBy, aims }: Judged): string {
  if (verdict === 'no aim') {
    return '';
  }
  if (verdict === 'met') {
    return 'met';
  }
  const isCount = aims.every(({ most }) => most === 0);
  return isCount ? `missed by ${missedBy}` : `missed by ${Math.round(missedBy * 100)} %`;
}

function aimText({ of, least, most }: Aim, unit: Unit): string {
  const shown = (value: number) => (of === 'ratio' ? `${figure(value)}×` : amount(value, unit));
  if (least !== undefined && most !== undefined) {
    return `${shown(least)} to ${shown(most)}`;
  }
  return least !== undefined ? `≥ ${shown(least)}` : `≤ ${shown(most ?? Number.NaN)}`;
}

export function amount(value: number, unit: Unit): string {
  return unit === '/s' || unit === '×' ? `${figure(value)}${unit}` : `${figure(value)} ${unit}`;
}

/** Three significant digits, with thousands separators. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) {
    return '?';
  }
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString('en-US', {
    minimumFractionDigits: Number.isInteger(value) ? 0 : digits,
    maximumFractionDigits: digits,
  });
}
