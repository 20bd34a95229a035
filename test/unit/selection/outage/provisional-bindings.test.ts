import test from 'ava';
import { parseCall } from '../../../../services/domain/call.js';
import { Events } from '../../../../services/domain/events.js';
import { ProvisionalBindings } from '../../../../services/selection/outage/provisional-bindings.js';
import { ManualClock } from '../../../support/clock.js';
import { aBinding } from '../../../support/registry.js';

function open(capacity: number) {
  const clock = new ManualClock();
  const bindings = new ProvisionalBindings({ events: new Events(), clock }, capacity);
  const put = (id: string, livesMs = 60_000) =>
    bindings.put(aBinding(id, { generation: 0, expiresAtMs: clock.wallMs() + livesMs }));
  const ids = () => bindings.list().map(({ call }) => call.callId);
  return { clock, bindings, put, ids };
}

test('the oldest go first; one that is used again is young again', (t) => {
  const { bindings, put, ids } = open(3);
  for (const id of ['a', 'b', 'c', 'a', 'd']) {
    put(id);
  }
  t.deepEqual(ids(), ['c', 'a', 'd']);
  t.is(bindings.counters.dropped, 1);
  bindings.delete(parseCall('c'));
  for (const id of ['e', 'f']) {
    put(id);
  }
  t.deepEqual(ids(), ['d', 'e', 'f']);
  for (const id of ids()) {
    bindings.delete(parseCall(id));
  }
  for (const id of ['g', 'h', 'i', 'j', 'k']) {
    put(id);
  }
  t.deepEqual(ids(), ['i', 'j', 'k']);
  for (let i = 0; i < 1000; i++) {
    put(`n${i}`);
  }
  t.deepEqual(ids(), ['n997', 'n998', 'n999']);
  t.is(bindings.size, 3);
});

test('long Call-IDs are fewer than short ones: these have 128 characters on average', (t) => {
  const { bindings, put, ids } = open(10);
  const long = (i: number) => `${i}${'x'.repeat(500)}`;
  for (let i = 0; i < 4; i++) {
    put(long(i));
  }
  t.deepEqual(ids(), [long(2), long(3)]);
  t.is(bindings.counters.dropped, 2);
});

test('a promise is over when its time is, whatever the wall clock says', (t) => {
  const { clock, bindings, put } = open(3);
  put('short', 1000);
  clock.advance(999);
  clock.stepWall(10_800_000);
  t.is(bindings.get(parseCall('short'))?.relayId, 'r1');
  clock.stepWall(-2 * 10_800_000);
  clock.advance(1);
  t.is(bindings.get(parseCall('short')), undefined);
  t.is(bindings.size, 0);
  t.is(bindings.get(parseCall('never')), undefined);
});
