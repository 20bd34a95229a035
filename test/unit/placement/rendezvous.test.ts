import test from 'ava';
import fc from 'fast-check';
import { Candidate } from '../../../services/placement/candidate.js';
import { combine, hashText } from '../../../services/placement/hash.js';
import { Rendezvous } from '../../../services/placement/rendezvous.js';
import { aRelay } from '../../support/registry.js';

const policy = new Rendezvous();
const candidate = (id: string, weight = 100) => new Candidate({ relay: aRelay({ id, weight }), revision: 1 });
const candidates = (count: number, weight?: number) =>
  Array.from({ length: count }, (_, i) => candidate(`relay-${i}`, weight));
const callKeys = (count: number, salt = '') =>
  Array.from({ length: count }, (_, i) => `${salt}${i.toString(36)}-call@host`);

test('a relay that leaves moves nobody else’s calls, one that joins takes calls only for itself', (t) => {
  const weights = fc.array(fc.integer({ min: 1, max: 10_000 }), { minLength: 2, maxLength: 12 });
  fc.assert(
    fc.property(weights, fc.nat(), fc.string(), (all, which, salt) => {
      const before = all.map((weight, i) => candidate(`relay-${i}`, weight));
      const leaving = before[which % before.length];
      const after = before.filter((each) => each !== leaving);
      for (const key of callKeys(50, salt)) {
        const chosen = policy.choose(before, key);
        if (chosen !== leaving) {
          t.is(policy.choose(after, key), chosen);
        }
      }
    }),
  );
});

test('the order of the candidates does not matter, nor which replica chooses', (t) => {
  const weights = fc.array(fc.integer({ min: 1, max: 10_000 }), { minLength: 1, maxLength: 12 });
  const shuffled = weights.chain((all) => {
    const list = all.map((weight, i) => ({ id: `relay-${i}`, weight }));
    return fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length }));
  });
  fc.assert(
    fc.property(shuffled, fc.string(), ([one, other], key) => {
      const choose = (list: typeof one) =>
        new Rendezvous().choose(
          list.map(({ id, weight }) => candidate(id, weight)),
          key,
        ).id;
      t.is(choose(one), choose(other));
    }),
  );
});

test('twice the weight takes twice the calls', (t) => {
  const [light, heavy] = [candidate('light', 50), candidate('heavy', 100)];
  let heavyCalls = 0;
  const keys = callKeys(200_000);
  for (const key of keys) {
    if (policy.choose([heavy, light], key) === heavy) {
      heavyCalls++;
    }
  }
  const ratio = heavyCalls / (keys.length - heavyCalls);
  t.true(Math.abs(ratio - 2) <= 0.04, `ratio ${ratio}`);
});

test('equal weights share evenly, whatever the ids look like', (t) => {
  const list = candidates(10);
  const counts = new Map<Candidate, number>();
  for (const key of callKeys(100_000)) {
    const chosen = policy.choose(list, key);
    counts.set(chosen, (counts.get(chosen) ?? 0) + 1);
  }
  t.is(counts.size, 10);
  for (const [{ id }, count] of counts) {
    t.true(Math.abs(count / 10_000 - 1) < 0.05, `${id}: ${count}`);
  }
});

test('replicas of different versions must rank alike: these choices are for ever', (t) => {
  t.deepEqual(
    [hashText('relay-1'), hashText('a84b4c76e66710'), combine(1, 2)],
    [3_536_176_985, 2_087_382_021, 2_117_216_093],
  );
  const list = candidates(5);
  t.is(
    callKeys(24)
      .map((key) => policy.choose(list, key).id.at(-1))
      .join(''),
    '041043314421312142103011',
  );
});

test('each bit of a text decides over half of its hash', (t) => {
  let flipped = 0;
  const rounds = 2000;
  for (let i = 0; i < rounds; i++) {
    const difference = hashText(`call-${i}`) ^ hashText(`call-${i}x`);
    flipped += (difference >>> 0).toString(2).replaceAll('0', '').length;
  }
  t.true(Math.abs(flipped / rounds - 16) < 1, `${flipped / rounds} of 32 bits`);
});
