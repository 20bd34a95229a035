import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import type { Scope } from './process.js';
import { repository } from './repository.js';

/** Of the cases that are drawn in `npm test`: what fails there is what has changed. */
const defaultSeed = 1;

/**
 * How properties over real sockets run: a few cases each in `npm test`, more with HOLDFAST_TEST_RUNS. HOLDFAST_TEST_SEED draws
 * other cases, and new ones each time if it is empty. A failure is reported with its seed, which draws the same cases again;
 * HOLDFAST_TEST_PATH starts with the one that failed.
 */
export interface Runs {
  /** Number of cases unless HOLDFAST_TEST_RUNS is set. */
  readonly runs: number;
  /** Time limit for the cases and for shrinking, unless HOLDFAST_TEST_RUNS is set. */
  readonly limitMs?: number;
  /** The same cases each time: for what describes a program that is not ours. */
  readonly fixedSeed?: number;
}

/** Fails the test if the property does not hold, with the shortest case found and how to reproduce it. */
export async function holds<Case>(
  t: ExecutionContext,
  property: fc.IAsyncProperty<Case>,
  { runs, limitMs = 60_000, fixedSeed }: Runs,
): Promise<void> {
  const asked = numberFrom('HOLDFAST_TEST_RUNS');
  const isDrawn = process.env['HOLDFAST_TEST_SEED'] === '';
  const seed = fixedSeed ?? numberFrom('HOLDFAST_TEST_SEED') ?? (isDrawn ? undefined : defaultSeed);
  const path = process.env['HOLDFAST_TEST_PATH'];
  const mostMs = asked === undefined ? limitMs : 24 * 3_600_000;
  t.timeout(mostMs + 60_000);
  const details = await fc.check(property, {
    numRuns: asked ?? runs,
    interruptAfterTimeLimit: mostMs,
    // A case that hangs is a failure; shrinking may find a shorter one.
    timeout: 20_000,
    ...(seed === undefined ? {} : { seed }),
    ...(path === undefined ? {} : { path }),
  });
  if (details.interrupted && !details.failed) {
    t.log(`only ${details.numRuns} of ${runs} cases were tried within ${mostMs} ms`);
  }
  if (details.failed) {
    throw new Error(report(details));
  }
  t.pass();
}

function report<Case>(details: fc.RunDetails<Case>): string {
  const file = relative(repository, fileURLToPath(test.meta.file));
  // The path of a shrunk case depends on timing; that of the drawn case does not.
  const drawn = details.counterexamplePath?.split(':')[0] ?? '0';
  return [
    fc.defaultReportMessage(details),
    details.errorInstance instanceof Error ? details.errorInstance.stack : String(details.errorInstance),
    `To reproduce: HOLDFAST_TEST_SEED=${details.seed} HOLDFAST_TEST_PATH=${drawn} npm test -- ${file}`,
  ].join('\n\n');
}

function numberFrom(name: string): number | undefined {
  const text = process.env[name];
  if (text === undefined || text === '') {
    return undefined;
  }
  const value = Number(text);
  if (!Number.isSafeInteger(value)) {
    throw new Error(`${name}: ${text} is not a whole number`);
  }
  return value;
}

/** Runs `body` with a scope that ends with it, so that no case leaves its sockets to the next. */
export async function scoped<T>(body: (scope: Scope) => Promise<T>): Promise<T> {
  const tasks: (() => Promise<void> | void)[] = [];
  try {
    return await body({ teardown: (task) => tasks.push(task) });
  } finally {
    for (const task of tasks.reverse()) {
      await task();
    }
  }
}
