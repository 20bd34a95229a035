import test from 'ava';
import fc from 'fast-check';
import { HashIndex } from '../../../../services/selection/cache/hash-index.js';
import { KeyedHash } from '../../../../services/selection/cache/keyed-hash.js';

/** Texts by place, and an index of them. */
function open(hash: (text: string) => number) {
  const texts = new Map<number, string>();
  const index = new HashIndex((place, text) => texts.get(place) === text);
  const add = (text: string, place: number) => {
    texts.set(place, text);
    const added = index.add(hash(text), place);
    if (!added) {
      texts.delete(place);
    }
    return added;
  };
  const remove = (text: string, place: number) => {
    index.remove(hash(text), place);
    texts.delete(place);
  };
  return { texts, index, add, remove, find: (text: string) => index.find(hash(text), text) };
}

test('it finds what was added and not removed, at the place where it stands', (t) => {
  const anAction = fc.record({ what: fc.constantFrom('add', 'remove', 'move'), text: fc.nat({ max: 400 }) });
  fc.assert(
    fc.property(
      fc.array(anAction, { size: 'max', minLength: 100, maxLength: 2000 }),
      // Few bits, so that many texts want the same slots.
      fc.constantFrom(1, 7, 2 ** 24),
      (actions, spread) => {
        const { texts, index, add, remove, find } = open((text) => Number(text) % spread);
        const places = new Map<string, number>();
        let next = 0;
        for (const { what, text: number } of actions) {
          const text = String(number);
          const place = places.get(text);
          if (what === 'add' && place === undefined) {
            const added = add(text, next);
            if (added) {
              places.set(text, next++);
            } else if (places.size < 200) {
              t.fail(`no room for the ${places.size + 1}th text`);
            }
          } else if (what === 'remove' && place !== undefined) {
            remove(text, place);
            places.delete(text);
          } else if (what === 'move' && place !== undefined) {
            texts.delete(place);
            texts.set(next, text);
            index.move(number % spread, place, next);
            places.set(text, next++);
          }
        }
        for (let number = 0; number <= 400; number++) {
          if (find(String(number)) !== places.get(String(number))) {
            t.fail(`text ${number} is not where it is`);
          }
        }
      },
    ),
    { numRuns: 100 },
  );
  t.pass();
});

test('many texts of one hash are refused, not searched for ever', (t) => {
  const { add, remove, find } = open(() => 4711);
  let added = 0;
  for (let place = 0; place < 10_000; place++) {
    if (add(`text ${place}`, place)) {
      added++;
    }
  }
  t.true(added >= 100 && added <= 1000, `${added} added`);
  t.is(find('text 0'), 0);
  t.is(find('text 9999'), undefined);
  remove('text 0', 0);
  t.is(find('text 0'), undefined);
  t.true(add('another', 20_000), 'room that was given up is room again');
  t.is(find('another'), 20_000);
});

test('all of 300,000 texts are found', (t) => {
  const hash = new KeyedHash();
  const { add, find } = open((text) => hash.of(text));
  for (let place = 0; place < 300_000; place++) {
    if (!add(`call-${place}`, place)) {
      t.fail(`no room for ${place}`);
    }
  }
  for (let place = 0; place < 300_000; place++) {
    if (find(`call-${place}`) !== place) {
      t.fail(`lost ${place}`);
    }
  }
  t.is(find('call-300000'), undefined);
});

test('a hash depends on the key and on every character', (t) => {
  const key = Buffer.from('0001020304050607', 'hex');
  const hash = new KeyedHash(key);
  // By another implementation, which was held against the published vectors of HalfSipHash-2-4.
  t.is(hash.of(''), 1_477_757_078);
  t.is(hash.of('a'), 4_217_696_294);
  t.is(hash.of('call'), 2_979_612_265);
  t.is(hash.of('a84b4c76e66710'), 116_497_251);
  t.is(hash.of('a84b4c76e66710@pc33.atlanta.example.com'), 1_839_959_300);
  t.not(new KeyedHash().of('a84b4c76e66710'), new KeyedHash().of('a84b4c76e66710'));
  const alike = ['', 'a', 'b', 'aa', 'aaa', 'aaaa', 'aaab', 'baaa', 'aaaaa', 'abaaa', 'aaaab', 'aaaa\0'];
  t.is(new Set(alike.map((text) => hash.of(text))).size, alike.length);
});

test('hashes of texts that differ little spread evenly', (t) => {
  const hash = new KeyedHash();
  const count = 64_000;
  for (const bitsBelow of [0, 12, 24]) {
    const leases = new Array<number>(64).fill(0);
    for (let i = 0; i < count; i++) {
      const bucket = (hash.of(`call-${i}@192.0.2.1`) >>> bitsBelow) % 64;
      leases[bucket] = (leases[bucket] ?? 0) + 1;
    }
    // 1,000 each; 250 is eight standard deviations.
    t.true(leases.every((each) => Math.abs(each - 1000) < 250));
  }
});

test('what is not in the index can be neither moved nor removed', (t) => {
  const { index, add, remove } = open(Number);
  add('1', 10);
  const missing = { message: /in the index/ };
  for (const [hash, place] of [
    [1, 11],
    [2, 10],
  ] as const) {
    t.throws(() => index.move(hash, place, 12), missing);
    t.throws(() => index.remove(hash, place), missing);
  }
  remove('1', 10);
  t.throws(() => index.remove(1, 10), missing);
});
