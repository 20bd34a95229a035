import test from 'ava';
import { WatchRelaysResponse_Type as Type } from '../../../proto/generated/holdfast/v1/relay.js';
import type { RelayChange } from '../../../services/domain/membership.js';
import type { RegisteredRelay } from '../../../services/domain/relay.js';
import { RelayEventQueue } from '../../../services/grpc/relay-event-queue.js';
import { aRelay } from '../../support/registry.js';

const registered = (id: string, weight = 100): RegisteredRelay => ({
  relay: aRelay({ id, weight }),
  revision: 1,
  intent: undefined,
});

const changed = (relay: RegisteredRelay): RelayChange => ({ type: 'changed', relay, before: relay });

function drain(queue: RelayEventQueue) {
  const events: [string, string | undefined, number | undefined][] = [];
  for (let event = queue.shift(); event; event = queue.shift()) {
    events.push([Type[event.type], event.relay?.id, event.relay?.weight]);
  }
  return events;
}

test('a snapshot comes first, then SYNCED, then changes in order', (t) => {
  const queue = new RelayEventQueue([registered('r1'), registered('r2')]);
  queue.push({ type: 'joined', relay: registered('r3') });
  queue.push({ type: 'suspect', relay: registered('r3') });
  t.deepEqual(drain(queue), [
    ['SNAPSHOT', 'r1', 100],
    ['SNAPSHOT', 'r2', 100],
    ['SYNCED', undefined, undefined],
    ['JOINED', 'r3', 100],
  ]);
  queue.push(changed(registered('r3', 7)));
  queue.push({ type: 'left', relay: registered('r1') });
  t.deepEqual(drain(queue), [
    ['CHANGED', 'r3', 7],
    ['LEFT', 'r1', 100],
  ]);
});

test('what happens to a relay is merged into its event that still waits', (t) => {
  const queue = new RelayEventQueue([registered('r1'), registered('r2')]);
  queue.push(changed(registered('r1', 5)));
  queue.push({ type: 'left', relay: registered('r2') });
  queue.push({ type: 'joined', relay: registered('r3') });
  queue.push(changed(registered('r3', 6)));
  queue.push({ type: 'joined', relay: registered('r4') });
  queue.push({ type: 'left', relay: registered('r4') });
  t.deepEqual(drain(queue), [
    ['SNAPSHOT', 'r1', 5],
    ['SYNCED', undefined, undefined],
    ['JOINED', 'r3', 6],
  ]);
  queue.push({ type: 'left', relay: registered('r1', 5) });
  queue.push({ type: 'joined', relay: registered('r1', 8) });
  queue.push(changed(registered('r3', 9)));
  queue.push({ type: 'left', relay: registered('r3', 9) });
  t.deepEqual(drain(queue), [
    ['CHANGED', 'r1', 8],
    ['LEFT', 'r3', 9],
  ]);
});

test('however many changes there are, no more waits than one event per relay', (t) => {
  const queue = new RelayEventQueue([]);
  for (let i = 0; i < 100_000; i++) {
    const relay = registered(`r${i % 3000}`);
    queue.push(i < 3000 ? { type: 'joined', relay } : changed(relay));
  }
  t.is(queue.length, 3001);
});
