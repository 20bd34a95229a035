import type { OwnScope } from '../support/own-scope.js';

/** What an aim is about. */
export interface Aim {
  /** `ratio` of the pairs, or the candidate's own value. */
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
  /** What the baseline is; empty if there is none. */
  readonly against: string;
  readonly aims: readonly Aim[];
  /** Figures that explain the line, such as CPU per call. */
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
  /** The first where figures count, the second with `--quick`, where it only has to be seen to work. */
  pick<T>(full: T, quick: T): T;
  progress(text: string): void;
  /** Tells a row as soon as it is there, so that it is not lost if a later one fails. @returns the same row */
  measured(row: Row): Row;
}

export interface BenchCase {
  readonly name: string;
  readonly title: string;
  /** @throws MissingProgramError where something that it needs is not installed */
  run(context: Context): Promise<CaseResult>;
}

export class MissingProgramError extends Error {
  override readonly name = 'MissingProgramError';

  constructor(readonly program: string) {
    super(`${program} is not installed`);
  }
}
