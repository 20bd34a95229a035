import assert from 'node:assert/strict';
import test from 'ava';
import fc from 'fast-check';
import { contains, type KeyRange } from '../../../services/embedded-etcd/key-range.js';
import { KeyRangeSet } from '../../../services/embedded-etcd/key-range-set.js';
import { OrderedMap } from '../../../services/embedded-etcd/ordered-map.js';

const key = fc.string({ unit: fc.constantFrom('\0', 'a', 'b', '\x7f', '\xff'), maxLength: 4 });

test('behaves like a plain map that is sorted on demand', (t) => {
  const operation = fc.oneof(
    fc.record({ set: key, value: fc.nat() }),
    fc.record({ delete: key }),
    fc.record({ from: key, to: key }),
  );
  t.notThrows(() =>
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
        const map = new OrderedMap<number>();
        const model = new Map<string, number>();
        for (const one of operations) {
          if ('set' in one) {
            map.set(one.set, one.value);
            model.set(one.set, one.value);
          } else if ('delete' in one) {
            assert.equal(map.delete(one.delete), model.delete(one.delete));
          } else {
            const found: number[] = [];
            map.visit(one.from, one.to, (value) => found.push(value));
            const expected = [...model].filter(
              ([name]) => name >= one.from && (one.to === '' || name < one.to),
            );
            assert.deepEqual(
              found,
              expected.sort(([a], [b]) => (a < b ? -1 : 1)).map(([, value]) => value),
            );
          }
          assert.equal(map.size, model.size);
        }
        for (const [name, value] of model) {
          assert.equal(map.get(name), value);
        }
      }),
    ),
  );
});

test('keeps its order through splits and merges of many keys', (t) => {
  const map = new OrderedMap<string>();
  const names = Array.from({ length: 20_000 }, (_, index) =>
    String((index * 7919) % 20_000).padStart(5, '0'),
  );
  for (const name of names) {
    map.set(name, name);
  }
  const all = () => {
    const found: string[] = [];
    map.visit('', '', (value) => found.push(value));
    return found;
  };
  t.deepEqual(all(), [...names].sort());
  const kept = names.filter((name) => Number(name) % 100 === 0);
  for (const name of names) {
    if (Number(name) % 100 !== 0) {
      t.true(map.delete(name));
    }
  }
  t.deepEqual(all(), [...kept].sort());
  for (const name of kept) {
    t.true(map.delete(name));
  }
  t.is(map.size, 0);
  t.is(map.get('00000'), undefined);
});

test('a million keys that come in no order are all found, in order, and all go', (t) => {
  const map = new OrderedMap<number>();
  const names = Array.from({ length: 1_000_000 }, (_, index) => ((index * 2_654_435_761) >>> 0).toString(36));
  for (const [index, name] of names.entries()) {
    map.set(name, index);
  }
  t.is(map.size, names.length);
  t.true(names.every((name, index) => map.get(name) === index));
  let last = '';
  let inOrder = true;
  map.visit('', '', (index) => {
    const name = names[index] as string;
    inOrder &&= last < name;
    last = name;
  });
  t.true(inOrder);
  t.true(names.every((name) => map.delete(name)));
  t.is(map.size, 0);
});

test('a set of ranges holds the keys of each of them', (t) => {
  const range = fc.record({ from: key, to: key }).filter(({ from, to }) => to === '' || from < to);
  t.notThrows(() =>
    fc.assert(
      fc.property(fc.array(range, { maxLength: 20 }), fc.array(key), (ranges: KeyRange[], keys) => {
        const set = new KeyRangeSet();
        const copy = new KeyRangeSet();
        for (const { from, to } of ranges) {
          set.add(from, to ?? '');
        }
        copy.addAll(set);
        for (const one of keys) {
          const expected = ranges.some((range) => contains(range, one));
          assert.equal(set.has(one), expected);
          assert.equal(copy.has(one), expected);
        }
      }),
    ),
  );
});
