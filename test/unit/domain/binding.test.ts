import test from 'ava';
import {
  ageSeconds,
  type Binding,
  hasBegunAfter,
  isAhead,
  isVersionOf,
  leaseSeconds,
  originOf,
  remainingSeconds,
} from '../../../services/domain/binding.js';
import { aBinding } from '../../support/registry.js';

const binding: Binding = aBinding('c', {
  requestId: 'mine',
  beginning: 'mine',
  ttlSeconds: 10,
  expiresAtMs: 15_000,
});

test('only the request that bound a call hears that it is new', (t) => {
  t.is(originOf(binding, 'mine'), 'new');
  t.is(originOf(binding, 'another'), 'existing');
});

test('a moved call is moved for all who ask, for the mover too', (t) => {
  for (const requestId of ['mine', 'another']) {
    t.is(originOf({ ...binding, generation: 2 }, requestId), 'moved');
  }
});

test('another generation or another beginning is another binding; another state or use is not', (t) => {
  t.true(isVersionOf(binding, { generation: 1, beginning: 'mine' }));
  t.true(isVersionOf({ ...binding, state: 'released', expiresAtMs: 1, requestId: 'x' }, binding));
  t.false(isVersionOf({ ...binding, generation: 2 }, binding));
  t.false(isVersionOf({ ...binding, beginning: 'again' }, binding));
});

test('a higher generation is ahead; of the same beginning, an answered call of one in setup', (t) => {
  const answered: Binding = { ...binding, state: 'answered' };
  const moved: Binding = { ...binding, generation: 2 };
  t.true(isAhead(moved, answered));
  t.false(isAhead(answered, moved));
  t.true(isAhead(answered, binding));
  t.false(isAhead(binding, answered));
  t.false(isAhead(binding, binding));
  t.false(isAhead({ ...answered, beginning: 'again' }, binding), 'nobody knows which of them was first');
  t.false(isAhead(answered, { ...binding, state: 'released' }), 'what has ended stays ended');
});

test('a call that began again is ahead of its former end, and never the other way round', (t) => {
  const ended: Binding = { ...binding, state: 'released' };
  const again: Binding = { ...binding, beginning: 'again', begunAgainAtMs: binding.createdAtMs + 1 };
  t.true(isAhead(again, ended));
  t.true(isAhead({ ...again, state: 'answered' }, ended));
  t.false(isAhead(ended, again));
  t.false(isAhead({ ...again, state: 'released' }, ended));
  t.false(isAhead(again, { ...ended, begunAgainAtMs: binding.createdAtMs + 2 }), 'that was later');
});

test('a call that began again, and left its relay then, is known to come after the one before', (t) => {
  const moves = [{ atMs: 2, from: binding.relayId, reason: '', by: '' }];
  const after: Binding = { ...binding, beginning: 'again', begunAgainAtMs: 1, generation: 2, moves };
  t.true(hasBegunAfter(after, { ...binding, state: 'answered' }));
  t.false(hasBegunAfter(binding, after));
  t.false(hasBegunAfter({ ...after, beginning: 'mine' }, binding), 'it is the same call');
  t.false(hasBegunAfter({ ...after, begunAgainAtMs: undefined }, binding), 'its writer knew of none before');
  t.false(hasBegunAfter({ ...after, moves: [] }, binding));
});

test('a lease outlives the TTL, so that a use can find a whole TTL left and write nothing', (t) => {
  t.true(leaseSeconds(10) > 10);
  t.is(remainingSeconds(binding, 5000), 10);
  t.is(remainingSeconds(binding, 20_000), -5);
});

test('a binding that seems to outlive its lease was dated by a clock that is ahead: it may end at any time', (t) => {
  t.is(remainingSeconds(binding, -1000), 16, 'clocks differ a little');
  t.is(remainingSeconds(binding, -3000), 0);
  t.is(remainingSeconds(binding, -300_000), 0);
});

test('how old a binding is can be told by its end, unless a clock is far off', (t) => {
  t.is(ageSeconds(binding, 0), 0);
  t.is(ageSeconds(binding, 4000), 4);
  t.is(ageSeconds(binding, -1000), -1, 'clocks differ a little');
  t.is(ageSeconds(binding, -3000), 15, 'it may be as old as its lease');
});
