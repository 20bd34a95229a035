import test from 'ava';
import { Latest } from '../../../relay-node/latest.js';
import { turns } from '../../support/clock.js';

test('one run at a time, and after it one for all that has changed meanwhile', async (t) => {
  const finish: (() => void)[] = [];
  const seen: number[] = [];
  let value = 1;
  const latest = new Latest(() => {
    seen.push(value);
    return new Promise((resolve) => finish.push(resolve));
  });
  latest.changed();
  for (value = 2; value < 10; value++) {
    latest.changed();
  }
  await turns();
  t.deepEqual(seen, [1]);
  finish.shift()?.();
  await turns();
  t.deepEqual(seen, [1, 10]);
  finish.shift()?.();
  await latest.idle();
  latest.changed();
  await turns();
  t.is(seen.length, 3);
  finish.shift()?.();
  await latest.idle();
});
