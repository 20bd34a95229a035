import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Plot } from './bench-case.js';
import type { Machine } from './machine.js';
import type { Judged } from './verdict.js';

/** The result of one case, with machine and time. */
export interface CaseRecord {
  readonly machine: Machine;
  readonly rows: readonly Judged[];
  readonly plots: readonly Plot[];
}

/** The results of the last run of each case, in a file. */
export class Results {
  readonly #records: Record<string, CaseRecord>;

  constructor(private readonly file: string) {
    this.#records = read(file);
  }

  /** Replaces the result of this case, and keeps the others. */
  put(name: string, record: CaseRecord): void {
    this.#records[name] = record;
    mkdirSync(dirname(this.file), { recursive: true });
    writeFileSync(this.file, `${JSON.stringify(this.#records, undefined, 2)}\n`);
  }
}

/** @throws Error if there is no such file, or it has no results */
export function readResults(file: string): Record<string, CaseRecord> {
  return JSON.parse(readFileSync(file, 'utf8'));
}

function read(file: string): Record<string, CaseRecord> {
  try {
    return readResults(file);
  } catch {
    return {};
  }
}
