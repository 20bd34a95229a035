import test from 'ava';
import type { CheckName } from '../chaos/check/violation.js';
import type { SampleHistory } from './sample-history.js';

const covered = new Set<CheckName>();

/** A history that the checker must accept. */
export function good(title: string, history: () => SampleHistory): void {
  test(`accepted: ${title}`, (t) => {
    t.deepEqual(history().violations, []);
  });
}

/** A history that it must reject, for this reason. */
export function bad(title: string, expected: CheckName, history: () => SampleHistory): void {
  covered.add(expected);
  test(`rejected: ${title}`, (t) => {
    t.true(history().violations.includes(expected), `"${expected}" is not violated`);
  });
}

/** Fails if the file has no history that violates one of these. */
export function testCoverage(names: readonly CheckName[]): void {
  test('there is a rejected history for each check', (t) => {
    t.deepEqual(
      names.filter((name) => !covered.has(name)),
      [],
    );
  });
}
