import { appendFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { missingPrograms } from './program.js';

/**
 * Tests that need external programs. Where one is missing they are skipped, and each skip is recorded in the file named
 * by HOLDFAST_TEST_SKIPS, for the runner to print. With HOLDFAST_TEST_REQUIRE=all they fail instead.
 */
export type TestBody = (t: ExecutionContext) => Promise<void> | void;

export function testWith(programs: readonly string[], title: string, body: TestBody): void {
  register(test, programs, title, body);
}

/** A serial test. */
testWith.serial = (programs: readonly string[], title: string, body: TestBody): void => {
  register(test.serial, programs, title, body);
};

function register(
  declare: typeof test.serial,
  programs: readonly string[],
  title: string,
  body: TestBody,
): void {
  const missing = missingPrograms(programs);
  if (missing.length === 0) {
    declare(title, body);
  } else if (process.env['HOLDFAST_TEST_REQUIRE'] === 'all') {
    declare(title, (t) => t.fail(`not installed: ${missing.join(', ')} (HOLDFAST_TEST_REQUIRE is "all")`));
  } else {
    declare.skip(title, body);
    record(title, missing);
  }
}

function record(title: string, missing: readonly string[]): void {
  const path = process.env['HOLDFAST_TEST_SKIPS'];
  if (!path) {
    return;
  }
  const file = fileURLToPath(test.meta.file);
  appendFileSync(path, `${JSON.stringify({ title, file, missing })}\n`);
}
