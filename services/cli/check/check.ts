import { reasonOf } from '../../domain/error.js';
import { printable } from '../terminal.js';

/** One thing that a process needs. */
export interface Check {
  readonly subject: string;
  /** Resolves with what was found. @throws what is wrong */
  readonly run: () => Promise<string>;
}

/** Longer than anything that is tried may take by its own limits, ms. */
const patienceMs = 15_000;

/** Prints a line for each, in their order. @returns whether all is well */
export async function runChecks(checks: readonly Check[], print: (line: string) => void): Promise<boolean> {
  const width = Math.max(...checks.map(({ subject }) => subject.length));
  let isWell = true;
  for (const { subject, run } of checks) {
    const line = (verdict: string, text: string) =>
      print(`${verdict.padEnd(6)}  ${subject.padEnd(width)}  ${printable(text)}`);
    try {
      line('ok', await inTime(run()));
    } catch (error) {
      isWell = false;
      line('failed', reasonOf(error));
    }
  }
  return isWell;
}

/** With a timer of its own: those of the clock do not keep a process alive that waits. */
async function inTime(found: Promise<string>): Promise<string> {
  const timeout = new AbortController();
  const late = new Promise<never>((_, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer within ${patienceMs / 1000} s`)), patienceMs);
    timeout.signal.addEventListener('abort', () => clearTimeout(timer));
  });
  try {
    return await Promise.race([found, late]);
  } finally {
    timeout.abort();
  }
}
