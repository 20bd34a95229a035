import test from 'ava';
import { tallyOf } from '../../support/tally.js';

const passing = `
  ✔ domain › call › one (1.2s)
    ℹ 3 tests failed
  - domain › call › left out
  ✔ domain › call › two
  ─

  2 tests passed
  1 test skipped
`;

const failing = `
  ✔ domain › call › one
  ✘ [fail]: domain › call › two it is not
  ─

  domain › call › two
  ─

  1 hook failed
  1 test failed
  2 uncaught exceptions
`;

test('counts the tests that passed', (t) => {
  t.deepEqual(tallyOf(passing, 0), { passed: 2, failed: 0 });
});

test('counts every kind of failure', (t) => {
  t.deepEqual(tallyOf(failing, 1), { passed: 1, failed: 4 });
});

test('counts a colored report', (t) => {
  const colored = passing.replaceAll('✔', '\u001b[32m✔\u001b[39m').replace('2 tests', '\u001b[32m2 tests');
  t.deepEqual(tallyOf(colored, 0), { passed: 2, failed: 0 });
});

test('counts an exit code that the report does not explain as a failure', (t) => {
  t.deepEqual(tallyOf('', 1), { passed: 0, failed: 1 });
});

test('does not believe a report in which fewer tests passed than ava says', (t) => {
  t.throws(() => tallyOf(passing.replace('2 tests passed', '3 tests passed'), 0), { message: /3 tests/ });
  t.throws(() => tallyOf('', 0), { message: /no number/ });
});
