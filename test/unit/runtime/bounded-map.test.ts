import test from 'ava';
import { BoundedMap } from '../../../services/runtime/bounded-map.js';

test('those that were set first go first; one that is set again is the newest', (t) => {
  const map = new BoundedMap<number>({ entries: 3 });
  for (const [i, key] of ['a', 'b', 'c', 'a'].entries()) {
    t.is(map.set(key, i), 0);
  }
  t.is(map.set('d', 4), 1);
  t.deepEqual(map.values(), [2, 3, 4]);
  t.is(map.get('b'), undefined);
  for (let i = 5; i < 1000; i++) {
    map.set(`n${i}`, i);
    map.delete(`n${i - 1}`);
  }
  t.deepEqual(map.values(), [4, 999]);
});

test('what all weigh together has a bound, which the newest alone may exceed', (t) => {
  const map = new BoundedMap<string>({ entries: 100, weight: 10, weigh: (text) => text.length });
  for (const text of ['1234', '123456', '12']) {
    map.set(text, text);
  }
  t.deepEqual(map.values(), ['123456', '12']);
  t.is(map.weight, 8);
  t.is(map.set('long', 'more than ten'), 2);
  t.deepEqual(map.values(), ['more than ten']);
  map.set('long', '1');
  t.is(map.weight, 1);
  map.delete('long');
  t.is(map.weight, 0);
  map.set('a', 'a');
  map.clear();
  t.is(map.weight, 0);
  t.deepEqual(map.values(), []);
});

test('one of no entries keeps nothing', (t) => {
  const map = new BoundedMap<number>({ entries: 0 });
  t.is(map.set('a', 1), 1);
  t.is(map.size, 0);
});
