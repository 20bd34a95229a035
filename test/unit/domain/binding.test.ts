import test from 'ava';
import { type Binding, leaseSeconds, originOf, remainingSeconds } from '../../../services/domain/binding.js';
import { parseCall } from '../../../services/domain/call.js';

const binding: Binding = {
  call: parseCall('c'),
  set: 'default',
  relayId: 'r1',
  instance: 'i',
  generation: 1,
  requestId: 'mine',
  createdAtMs: 0,
  ttlSeconds: 10,
  expiresAtMs: 15_000,
  released: false,
};

test('only the request that bound a call hears that it is new', (t) => {
  t.is(originOf(binding, 'mine'), 'new');
  t.is(originOf(binding, 'another'), 'existing');
});

test('a moved call is moved for all who ask, for the mover too', (t) => {
  for (const requestId of ['mine', 'another']) {
    t.is(originOf({ ...binding, generation: 2 }, requestId), 'moved');
  }
});

test('a lease outlives the TTL, so that a use can find a whole TTL left and write nothing', (t) => {
  t.true(leaseSeconds(10) > 10);
  t.is(remainingSeconds(binding, 5000), 10);
  t.is(remainingSeconds(binding, 20_000), -5);
});
