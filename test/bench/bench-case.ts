import type { OwnScope } from '../support/own-scope.js';

/** A limit for a row. */
export interface Aim {
  /** Whether the limit is for the ratio of candidate and baseline, or for the candidate's value. */
  readonly of: 'ratio' | 'candidate';
  readonly least?: number;
  readonly most?: number;
}

/** One line of the table. */
export interface Row {
  readonly name: string;
  readonly unit: Unit;
  /** One per round. */
  readonly baseline: readonly number[];
  readonly candidate: readonly number[];
  /** Name of the baseline; empty if there is none. */
  readonly against: string;
  readonly aims: readonly Aim[];
  /** Numbers that explain the row, such as CPU per call. */
  readonly notes?: Readonly<Record<string, number | string>>;
}

export type Unit = '/s' | 'µs' | 'ms' | 'bytes' | '×' | 'calls' | 'writes';

/** A curve of the growth section. */
export interface Plot {
  readonly file: string;
  readonly title: string;
  readonly x: PlotAxis;
  readonly y: PlotAxis;
  readonly series: readonly PlotSeries[];
}

export interface PlotAxis {
  readonly label: string;
  readonly scale: 'linear' | 'log';
}

export interface PlotSeries {
  readonly label: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface CaseResult {
  readonly rows: readonly Row[];
  readonly plots?: readonly Plot[];
}

export interface Context {
  readonly scope: OwnScope;
  /** The first value normally, the second with `--quick`, which only shows that the case works. */
  pick<T>(full: T, quick: T): T;
  progress(text: string): void;
  /** Prints a row at once, so that it is not lost if a later one fails. @returns the same row */
  measured(row: Row): Row;
}

export interface BenchCase {
  readonly name: string;
  readonly title: string;
  /** @throws MissingProgramError if a program that it needs is not installed */
  run(context: Context): Promise<CaseResult>;
}

export class MissingProgramError extends Error {
  override readonly name = 'MissingProgramError';

  constructor(readonly program: string) {
    super(`${program} is not installed`);
  }
}
