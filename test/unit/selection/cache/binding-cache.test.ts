import test from 'ava';
import type { StoredBinding } from '../../../../services/domain/binding.js';
import { parseCall } from '../../../../services/domain/call.js';
import { BindingCache } from '../../../../services/selection/cache/binding-cache.js';

const trustMs = 1000;

function stored(callId: string, revision: number, generation = 1): StoredBinding {
  return {
    revision,
    binding: {
      call: parseCall(callId),
      set: 'default',
      relayId: 'r1',
      instance: 'i',
      generation,
      requestId: 'q',
      createdAtMs: 0,
      ttlSeconds: 10,
      expiresAtMs: 5000,
      released: false,
    },
  };
}

test('what etcd said is trusted from when it was asked, for the trust time', (t) => {
  const cache = new BindingCache(10, trustMs);
  const binding = stored('a', 5);
  cache.remember(binding, 100);
  t.deepEqual(cache.fresh('a', 100), binding);
  t.deepEqual(cache.fresh('a', 1099), binding);
  t.is(cache.fresh('a', 1100), undefined);
  t.is(cache.fresh('b', 100), undefined);
  cache.remember(binding, 1100);
  t.deepEqual(cache.fresh('a', 1100), binding, 'asked again');
});

test('what is not trusted any more is still known, until its time has run out', (t) => {
  const cache = new BindingCache(10, trustMs);
  const binding = stored('a', 5);
  cache.remember(binding, 0);
  cache.invalidateAll();
  t.is(cache.fresh('a', 0), undefined);
  t.deepEqual(cache.lastKnown('a', 4999), binding);
  t.is(cache.lastKnown('a', 5000), undefined);
  t.is(cache.lastKnown('b', 0), undefined);
});

test('after a gap nothing is trusted until it is read again', (t) => {
  const cache = new BindingCache(10, trustMs);
  cache.remember(stored('a', 5), 0);
  cache.remember(stored('b', 6), 0);
  cache.invalidateAll();
  cache.remember(stored('a', 5), 1);
  t.truthy(cache.fresh('a', 1));
  t.is(cache.fresh('b', 1), undefined);
});

test('after a gap even an older revision counts: etcd may have lost its data', (t) => {
  const cache = new BindingCache(10, trustMs);
  cache.remember(stored('a', 500), 0);
  cache.invalidateAll();
  const anew = stored('a', 3);
  cache.remember(anew, 1);
  t.deepEqual(cache.fresh('a', 1), anew);
});

test('an answer that was overtaken changes nothing', (t) => {
  const cache = new BindingCache(10, trustMs);
  const newer = stored('a', 9, 2);
  cache.remember(newer, 10);
  cache.remember(stored('a', 5, 1), 0);
  t.deepEqual(cache.fresh('a', 10), newer);
  t.deepEqual(cache.lastKnown('a', 0), newer);
});

test('a move ends what was known before it, and only that', (t) => {
  const cache = new BindingCache(10, trustMs);
  cache.remember(stored('a', 5), 0);
  cache.remember(stored('b', 6), 0);
  cache.hearMove('a', 7);
  t.is(cache.fresh('a', 0), undefined);
  t.is(cache.lastKnown('a', 0), undefined);
  t.truthy(cache.fresh('b', 0));
  const moved = stored('a', 7, 2);
  cache.remember(moved, 1);
  cache.hearMove('a', 7);
  t.deepEqual(cache.fresh('a', 1), moved, 'the news of a move that is known changes nothing');
});

test('an answer from before a move that comes after the news of it is not believed', (t) => {
  const cache = new BindingCache(10, trustMs);
  cache.hearMove('a', 7);
  cache.remember(stored('a', 5), 0);
  t.is(cache.fresh('a', 0), undefined);
  t.is(cache.lastKnown('a', 0), undefined);
  const anew = stored('a', 9);
  cache.remember(anew, 1);
  t.deepEqual(cache.fresh('a', 1), anew, 'a call that was bound again later is new');
  cache.forgetMove('a');
  cache.forget('a');
  cache.remember(stored('a', 5), 0);
  t.truthy(cache.fresh('a', 0), 'a move long past is forgotten');
});

test('no more entries than its capacity: those written longest ago go first', (t) => {
  const cache = new BindingCache(3, trustMs);
  for (const [i, id] of ['a', 'b', 'c'].entries()) {
    cache.remember(stored(id, i + 1), 0);
  }
  cache.remember(stored('a', 10), 0);
  cache.remember(stored('d', 11), 0);
  t.is(cache.size, 3);
  t.deepEqual(
    ['a', 'b', 'c', 'd'].filter((id) => cache.fresh(id, 0)),
    ['a', 'c', 'd'],
  );
  for (let i = 0; i < 1000; i++) {
    cache.remember(stored(`x${i}`, 100 + i), 0);
  }
  t.is(cache.size, 3);
});

test('capacity 0 remembers nothing', (t) => {
  const cache = new BindingCache(0, trustMs);
  cache.remember(stored('a', 1), 0);
  t.is(cache.size, 0);
  t.is(cache.fresh('a', 0), undefined);
});

test('what is forgotten is gone', (t) => {
  const cache = new BindingCache(10, trustMs);
  cache.remember(stored('a', 1), 0);
  cache.forget('a');
  cache.forget('never');
  t.is(cache.lastKnown('a', 0), undefined);
  t.is(cache.size, 0);
});
