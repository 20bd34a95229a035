import test from 'ava';
import type { Binding, StoredBinding } from '../../../../services/domain/binding.js';
import { parseCall } from '../../../../services/domain/call.js';
import { BindingCache } from '../../../../services/selection/cache/binding-cache.js';
import { LeaseClock } from '../../../../services/selection/outage/lease-clock.js';
import { ManualClock } from '../../../support/clock.js';
import { aBinding } from '../../../support/registry.js';

const trustMs = 1000;
const minute = 60_000;
const replaced = { kind: 'replaced', reason: 'test', revision: 0 } as const;

function open(capacity = 10) {
  const clock = new ManualClock();
  const leaseClock = new LeaseClock(clock);
  const cache = new BindingCache({ clock, leaseClock }, { capacity, trustMs });
  /** As etcd says it now. It lives for 5 s more, of at most 15. */
  const stored = (callId: string, revision: number, overrides: Partial<Binding> = {}): StoredBinding => ({
    revision,
    binding: aBinding(callId, { ttlSeconds: 10, expiresAtMs: clock.wallMs() + 5000, ...overrides }),
  });
  const remember = (...args: Parameters<typeof stored>): StoredBinding => {
    const made = stored(...args);
    cache.remember(made, clock.monotonicMs());
    return made;
  };
  const fresh = (callId: string) => cache.fresh(parseCall(callId));
  const lastKnown = (callId: string) => cache.lastKnown(parseCall(callId));
  const survivor = (callId: string) => cache.survivor(parseCall(callId));
  const survivors = () => [...cache.survivors()].flat().map(({ binding }) => binding.call.callId);
  const lostGeneration = (callId: string) => cache.lostMove(parseCall(callId))?.generation ?? 0;
  const hearMove = (callId: string, revision: number, generation = 2) =>
    cache.hearMove(parseCall(callId).key, { revision, generation, relayId: 'r2' });
  const asking = { fresh, lastKnown, survivor, survivors, lostGeneration };
  return { clock, leaseClock, cache, stored, remember, hearMove, ...asking };
}

test('what etcd said is trusted from when it was asked, for the trust time', (t) => {
  const { clock, cache, stored, fresh } = open();
  const binding = stored('a', 5);
  const askedAtMs = clock.monotonicMs();
  clock.advance(100);
  cache.remember(binding, askedAtMs);
  t.deepEqual(fresh('a'), binding);
  clock.advance(899);
  t.deepEqual(fresh('a'), binding);
  clock.advance(1);
  t.is(fresh('a'), undefined);
  t.is(fresh('b'), undefined);
  cache.remember(binding, clock.monotonicMs());
  t.deepEqual(fresh('a'), binding, 'asked again');
});

test('what is not trusted any more is still known, until its time has run out', (t) => {
  const { clock, cache, remember, fresh, lastKnown } = open();
  const binding = remember('a', 5);
  cache.invalidateAll();
  t.is(fresh('a'), undefined);
  clock.advance(4999);
  t.deepEqual(lastKnown('a'), binding);
  clock.advance(1);
  t.is(lastKnown('a'), undefined);
  t.is(lastKnown('b'), undefined);
});

test('the same Call-ID in another set is another binding', (t) => {
  const { cache, clock, stored, fresh } = open();
  const edge = aBinding(parseCall('a', '', 'edge'));
  cache.remember({ ...stored('a', 5), binding: edge }, clock.monotonicMs());
  t.is(fresh('a'), undefined);
  t.deepEqual(cache.fresh(parseCall('a', '', 'edge'))?.binding.call, edge.call);
});

test('a call that is asked for in any set is answered with the set that it is in', (t) => {
  const { remember, fresh, lastKnown } = open();
  const { binding } = remember('a', 5);
  t.true(parseCall('a').anySet);
  t.deepEqual(fresh('a')?.binding.call, binding.call);
  t.false(lastKnown('a')?.binding.call.anySet);
});

test('after a gap nothing is trusted until it is read again', (t) => {
  const { cache, remember, fresh } = open();
  remember('a', 5);
  remember('b', 6);
  cache.invalidateAll();
  remember('a', 5);
  t.truthy(fresh('a'));
  t.is(fresh('b'), undefined);
});

test('after a gap even an older revision counts: etcd may have lost its data', (t) => {
  const { cache, remember, fresh } = open();
  remember('a', 500);
  cache.invalidateAll();
  const anew = remember('a', 3);
  t.deepEqual(fresh('a'), anew);
});

test('an answer that was overtaken changes nothing', (t) => {
  const { clock, cache, stored, remember, fresh, lastKnown } = open();
  const askedAtMs = clock.monotonicMs();
  clock.advance(10);
  const newer = remember('a', 9, { generation: 2 });
  cache.remember(stored('a', 5), askedAtMs);
  t.deepEqual(fresh('a'), newer);
  t.deepEqual(lastKnown('a'), newer);
});

test('a move ends what was known before it, and only that', (t) => {
  const { remember, hearMove, fresh, lastKnown } = open();
  remember('a', 5);
  remember('b', 6);
  hearMove('a', 7);
  t.is(fresh('a'), undefined);
  t.is(lastKnown('a'), undefined);
  t.truthy(fresh('b'));
  const moved = remember('a', 7, { generation: 2 });
  hearMove('a', 7);
  t.deepEqual(fresh('a'), moved, 'the news of a move that is known changes nothing');
});

test('an answer from before a move that comes after the news of it is not believed', (t) => {
  const { remember, hearMove, fresh, lastKnown } = open();
  hearMove('a', 7);
  remember('a', 5);
  t.is(fresh('a'), undefined);
  t.is(lastKnown('a'), undefined);
  const anew = remember('a', 9);
  t.deepEqual(fresh('a'), anew, 'a call that was bound again later is new');
});

test('a binding ages by a clock that nobody sets, and tells its end by the one that somebody did', (t) => {
  const { clock, remember, fresh, lastKnown } = open();
  remember('a', 5, { ttlSeconds: 3600, expiresAtMs: clock.wallMs() + 5_400_000 });
  for (const hours of [3, -6]) {
    clock.stepWall(hours * 60 * minute);
    t.is(fresh('a')?.binding.expiresAtMs, clock.wallMs() + 5_400_000);
    t.is(lastKnown('a')?.binding.expiresAtMs, clock.wallMs() + 5_400_000);
  }
  clock.advance(5_400_000);
  t.is(lastKnown('a'), undefined);
});

test('of the clock that wrote the end of a binding no more is believed than a lease can be', (t) => {
  const { clock, remember, lastKnown } = open();
  remember('ahead', 5, { ttlSeconds: 10, expiresAtMs: clock.wallMs() + 180 * minute });
  t.is(lastKnown('ahead')?.binding.expiresAtMs, clock.wallMs() + 15_000);
  clock.advance(15_000);
  t.is(lastKnown('ahead'), undefined);
});

test('what is read again of one revision lives no longer for that', (t) => {
  const { clock, cache, remember, stored, lastKnown } = open();
  remember('a', 5);
  clock.advance(2000);
  clock.stepWall(-180 * minute);
  cache.remember({ ...stored('a', 5, { expiresAtMs: clock.wallMs() + 180 * minute }) }, clock.monotonicMs());
  clock.advance(2999);
  t.truthy(lastKnown('a'));
  clock.advance(1);
  t.is(lastKnown('a'), undefined);
});

test('what etcd still has after the end that was read of it was dated by a clock that is set right since', (t) => {
  const { clock, remember, lastKnown } = open();
  const expiresAtMs = clock.wallMs() + 5000;
  clock.stepWall(180 * minute);
  remember('a', 5, { expiresAtMs });
  t.is(lastKnown('a'), undefined);
  clock.stepWall(-180 * minute);
  remember('a', 5, { expiresAtMs });
  t.is(lastKnown('a')?.binding.expiresAtMs, expiresAtMs);
});

test('nothing runs out while etcd is away', (t) => {
  const { clock, leaseClock, remember, lastKnown } = open();
  remember('a', 5);
  leaseClock.pause();
  clock.advance(1000 * minute);
  t.is(lastKnown('a')?.binding.expiresAtMs, clock.wallMs() + 5000);
  leaseClock.resume();
  clock.advance(4999);
  t.truthy(lastKnown('a'));
  clock.advance(1);
  t.is(lastKnown('a'), undefined);
});

test('when etcd was replaced, all that was seen before survives, until it is seen again', (t) => {
  const { cache, remember, fresh, lastKnown, survivor, survivors } = open();
  const a = remember('a', 500);
  const b = remember('b', 600);
  t.deepEqual(survivors(), []);
  t.is(survivor('a'), undefined);
  cache.beginHistory(replaced);
  t.is(fresh('a'), undefined);
  t.deepEqual(lastKnown('a'), a);
  t.deepEqual(survivor('a'), a);
  t.deepEqual(survivors(), ['a', 'b']);
  remember('a', 3);
  t.deepEqual(survivors(), ['b']);
  t.is(survivor('a'), undefined);
  t.truthy(fresh('a'));
  t.deepEqual(survivor('b'), b);
  cache.forget(parseCall('b'));
  t.deepEqual(survivors(), []);
});

test('what had run out when etcd was replaced does not survive', (t) => {
  const { clock, cache, remember, survivors } = open();
  remember('short', 5);
  remember('long', 6, { expiresAtMs: clock.wallMs() + 15_000 });
  clock.advance(5000);
  cache.beginHistory(replaced);
  t.deepEqual(survivors(), ['long']);
});

test('after an outage only that survives whose lease can have run out meanwhile', (t) => {
  const { clock, leaseClock, cache, remember, survivors } = open();
  remember('short', 5, { ttlSeconds: 600, expiresAtMs: clock.wallMs() + 5 * minute });
  remember('long', 6, { ttlSeconds: 3600, expiresAtMs: clock.wallMs() + 90 * minute });
  leaseClock.pause();
  clock.advance(8 * minute);
  cache.beginHistory({ kind: 'outage', lostForMs: leaseClock.resume() });
  t.deepEqual(survivors(), ['short']);
  // A second one, before the first is over: together they were longer than what was left.
  leaseClock.pause();
  clock.advance(83 * minute);
  cache.beginHistory({ kind: 'outage', lostForMs: leaseClock.resume() });
  t.deepEqual(survivors(), ['short', 'long']);
});

test('a call that etcd has lost does not begin below the generation that was heard of it', (t) => {
  const { cache, hearMove, lostGeneration, remember, fresh } = open();
  hearMove('a', 500, 3);
  t.is(lostGeneration('a'), 0, 'etcd has it still');
  cache.beginHistory(replaced);
  t.is(lostGeneration('a'), 3);
  t.is(lostGeneration('b'), 0);
  const anew = remember('a', 2, { generation: 4 });
  t.deepEqual(fresh('a'), anew, 'the revisions of the former history do not count');
  hearMove('a', 4, 5);
  t.is(lostGeneration('a'), 0, 'heard in this one');
});

test('no more entries than its capacity: those written longest ago go first', (t) => {
  const { cache, remember, fresh } = open(3);
  for (const [i, id] of ['a', 'b', 'c'].entries()) {
    remember(id, i + 1);
  }
  remember('a', 10);
  remember('d', 11);
  t.is(cache.size, 3);
  t.deepEqual(
    ['a', 'b', 'c', 'd'].filter((id) => fresh(id)),
    ['a', 'c', 'd'],
  );
  for (let i = 0; i < 1000; i++) {
    remember(`x${i}`, 100 + i);
  }
  t.is(cache.size, 3);
});

test('long Call-IDs take no more room than short ones: fewer are remembered', (t) => {
  const { cache, remember, fresh } = open(100);
  const long = (i: number) => `${'é'.repeat(8000)}${i}`;
  for (let i = 0; i < 50; i++) {
    remember(long(i), i + 1);
  }
  t.is(cache.size, 3, 'of 16 KB each');
  t.truthy(fresh(long(49)));
  for (let i = 0; i < 200; i++) {
    remember(`short-${i}`, 100 + i);
  }
  t.is(cache.size, 100);
});

test('one that is longer than all may be together is remembered', (t) => {
  const { cache, remember, fresh } = open(1);
  remember('é'.repeat(8000), 1);
  t.truthy(fresh('é'.repeat(8000)));
  t.is(cache.size, 1);
});

test('capacity 0 remembers nothing', (t) => {
  const { cache, remember, fresh } = open(0);
  remember('a', 1);
  t.is(cache.size, 0);
  t.is(fresh('a'), undefined);
});

test('what is forgotten is gone', (t) => {
  const { cache, remember, lastKnown } = open();
  remember('a', 1);
  cache.forget(parseCall('a'));
  cache.forget(parseCall('never'));
  t.is(lastKnown('a'), undefined);
  t.is(cache.size, 0);
});
