import test from 'ava';
import fc from 'fast-check';
import type { Load } from '../../../services/domain/relay.js';
import { Candidate } from '../../../services/placement/candidate.js';
import { FirstAvailable } from '../../../services/placement/first-available.js';
import { LeastLoaded } from '../../../services/placement/least-loaded.js';
import { Rendezvous } from '../../../services/placement/rendezvous.js';
import { RoundRobin } from '../../../services/placement/round-robin.js';
import { aRelay } from '../../support/registry.js';

const load = (calls: number): Load => ({ calls, cpu: 0, packetRate: 0, atMs: 0 });

interface Given {
  readonly weight?: number;
  readonly calls?: number;
  readonly heardAtMs?: number;
}

function candidate(id: string, { weight = 100, calls = 0, heardAtMs }: Given = {}): Candidate {
  const reported = heardAtMs === undefined ? {} : { load: load(calls), loadHeardAtMs: heardAtMs };
  return new Candidate({ relay: aRelay({ id, weight }), revision: 1, ...reported });
}

/** Always the same numbers, so that a failure can be seen again. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function spread(list: readonly Candidate[], calls: number, choose: (key: string) => Candidate): number {
  const counts = new Map<Candidate, number>(list.map((each) => [each, 0]));
  for (let i = 0; i < calls; i++) {
    const chosen = choose(`${i.toString(36)}@host`);
    chosen.reserve();
    counts.set(chosen, (counts.get(chosen) ?? 0) + 1);
  }
  return Math.max(...counts.values()) / (calls / list.length);
}

const fifty = (given: Given) => Array.from({ length: 50 }, (_, i) => candidate(`relay-${i}`, given));

test('least-loaded: 100,000 calls on 50 relays with fresh reports differ by at most 2 %', (t) => {
  const policy = new LeastLoaded(seeded(1));
  const list = fifty({ heardAtMs: 0 });
  const ratio = spread(list, 100_000, (key) => policy.choose(list, key, 10_000));
  t.true(ratio <= 1.02, `max/avg ${ratio}`);
});

test('least-loaded: with reports too old to trust, by at most 25 %', (t) => {
  const policy = new LeastLoaded(seeded(1));
  const list = fifty({ heardAtMs: 0 });
  const ratio = spread(list, 100_000, (key) => policy.choose(list, key, 10_001));
  t.true(ratio <= 1.25, `max/avg ${ratio}`);
});

test('least-loaded: several replicas that see the same reports do not run together', (t) => {
  const counts = new Array<number>(50).fill(0);
  for (let replica = 0; replica < 5; replica++) {
    const policy = new LeastLoaded(seeded(replica + 1));
    const list = fifty({ heardAtMs: 0 });
    for (let i = 0; i < 2000; i++) {
      const chosen = policy.choose(list, `${replica}-${i}`, 0);
      chosen.reserve();
      const at = list.indexOf(chosen);
      counts[at] = (counts[at] ?? 0) + 1;
    }
  }
  t.true(Math.max(...counts) / 200 <= 1.1, `${Math.max(...counts)} of 200`);
});

test('least-loaded: calls follow the weights', (t) => {
  const policy = new LeastLoaded(seeded(1));
  const list = [1, 2, 3, 4].map((weight) => candidate(`relay-${weight}`, { weight, heardAtMs: 0 }));
  spread(list, 10_000, (key) => policy.choose(list, key, 0));
  for (const { weight, calls } of list) {
    t.true(Math.abs(calls / (weight * 1000) - 1) < 0.02, `${weight}: ${calls}`);
  }
});

test('least-loaded: the busier of two is not chosen but by its own two draws', (t) => {
  const policy = new LeastLoaded(seeded(1));
  const list = [
    candidate('busy', { calls: 900, heardAtMs: 0 }),
    candidate('idle', { calls: 10, heardAtMs: 0 }),
  ];
  let busy = 0;
  for (let i = 0; i < 1000; i++) {
    if (policy.choose(list, `${i}`, 0).id === 'busy') {
      busy++;
    }
  }
  t.true(busy > 150 && busy < 350, `${busy} of 1000, a quarter expected`);
});

test('least-loaded: without trusted reports all replicas choose alike, by rendezvous', (t) => {
  const rendezvous = new Rendezvous();
  for (const given of [{}, { heardAtMs: 0 }]) {
    const list = fifty(given);
    for (let i = 0; i < 200; i++) {
      t.is(new LeastLoaded().choose(list, `call-${i}`, 10_001), rendezvous.choose(list, `call-${i}`));
    }
  }
});

test('least-loaded: a list of other candidates is weighed anew', (t) => {
  const policy = new LeastLoaded(seeded(1));
  const first = [
    candidate('a', { weight: 10_000, heardAtMs: 0 }),
    candidate('b', { weight: 1, heardAtMs: 0 }),
  ];
  policy.choose(first, 'x', 0);
  const second = [
    candidate('c', { heardAtMs: 0 }),
    candidate('d', { heardAtMs: 0 }),
    candidate('e', { heardAtMs: 0 }),
  ];
  const ratio = spread(second, 3000, (key) => policy.choose(second, key, 0));
  t.true(ratio < 1.02, `max/avg ${ratio}`);
});

test('own calls count until the next report, which knows them', (t) => {
  const relay = aRelay({ capacity: 2 });
  const busy = new Candidate({ relay, revision: 1, load: load(1), loadHeardAtMs: 0 });
  const placed = busy.reserve();
  t.is(busy.calls, 2);
  t.true(busy.isFull);
  placed.cancel();
  t.false(busy.isFull, 'a call that was placed in vain does not count');
  placed.cancel();
  t.is(busy.calls, 1, 'no more can be taken back than was placed');
  const known = busy.reserve();
  busy.report({ relay, revision: 1, load: load(1), loadHeardAtMs: 5 });
  t.is(busy.calls, 1);
  known.cancel();
  t.is(busy.calls, 1, 'the report has forgotten it already');
  busy.reserve();
  busy.report({ relay, revision: 1, load: load(1), loadHeardAtMs: 5 });
  t.is(busy.calls, 2, 'the same report again knows no more');
});

test('round-robin: turns are spread as the weights say, and smoothly', (t) => {
  const policy = new RoundRobin();
  const list = [candidate('a', { weight: 5 }), candidate('b', { weight: 1 }), candidate('c', { weight: 1 })];
  const turns = Array.from({ length: 14 }, () => policy.choose(list).id).join('');
  t.is(turns, 'aabacaaaabacaa');
});

test('round-robin: in each full round every candidate has exactly its weight of turns', (t) => {
  const weights = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(weights, (all) => {
      const policy = new RoundRobin();
      const list = all.map((weight, i) => candidate(`relay-${i}`, { weight }));
      const sum = all.reduce((total, weight) => total + weight, 0);
      for (let round = 0; round < 3; round++) {
        const counts = new Map<string, number>();
        for (let i = 0; i < sum; i++) {
          const { id } = policy.choose(list);
          counts.set(id, (counts.get(id) ?? 0) + 1);
        }
        t.deepEqual(
          list.map(({ id }) => counts.get(id)),
          all,
        );
      }
    }),
  );
});

test('round-robin: requests that fit only some relays do not spoil the turns of the others', (t) => {
  const policy = new RoundRobin();
  const [a, b, c] = [candidate('a'), candidate('b'), candidate('c')];
  const counts = { a: 0, b: 0, c: 0 };
  for (let i = 0; i < 100; i++) {
    counts[policy.choose([a, b]).id as 'a' | 'b']++;
    policy.choose([c]);
  }
  t.deepEqual(counts, { a: 50, b: 50, c: 0 });
});

test('first-available: the first takes all', (t) => {
  const list = [candidate('a'), candidate('b')];
  for (let i = 0; i < 5; i++) {
    t.is(new FirstAvailable().choose(list).id, 'a');
  }
});
