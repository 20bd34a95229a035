import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Plot } from './bench-case.js';
import type { Machine } from './machine.js';
import type { Judged } from './verdict.js';

/** What one case came to, and where and when. */
export interface CaseRecord {
  readonly machine: Machine;
  readonly rows: readonly Judged[];
  readonly plots: readonly Plot[];
}

/** The figures of the last run of each case, in a file. */
export class Results {
  readonly #records: Record<string, CaseRecord>;

  constructor(private readonly file: string) {
    this.#records = read(file);
  }

  /** Replaces what was known of the case, and leaves the others as they are. */
  put(name: string, record: CaseRecord): void {
    this.#records[name] = record;
    mkdirSync(dirname(this.file), { recursive: true });
    writeFileSync(this.file, `${JSON.stringify(this.#records, undefined, 2)}\n`);
  }
}

function read(file: string): Record<string, CaseRecord> {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return {};
  }
}
