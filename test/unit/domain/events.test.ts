import test from 'ava';
import { Events, type HoldfastEvent } from '../../../services/domain/events.js';
import type { RegisteredRelay } from '../../../services/domain/relay.js';
import { aBinding, aRelay } from '../../support/registry.js';

function open() {
  const events = new Events();
  const heard: HoldfastEvent[] = [];
  const unsubscribe = events.subscribe((event) => heard.push(event));
  return { events, heard, unsubscribe };
}

test('whoever subscribes hears, until it has enough', (t) => {
  const { events, heard, unsubscribe } = open();
  const others: HoldfastEvent[] = [];
  events.subscribe((event) => others.push(event));
  events.callBound(aBinding('a'));
  t.deepEqual(heard, [
    {
      type: 'callBound',
      details: { callId: 'a', set: 'default', relay: 'r1', generation: 1, ttlSeconds: 300 },
    },
  ]);
  unsubscribe();
  events.callReleased(aBinding('a'));
  t.is(heard.length, 1);
  t.deepEqual(
    others.map(({ type }) => type),
    ['callBound', 'callReleased'],
  );
});

test('a move is told with where from, why and by whom, as the binding has it', (t) => {
  const { events, heard } = open();
  const moves = [
    { atMs: 1, from: 'r3', reason: 'one', by: 'x' },
    { atMs: 2, from: 'r2', reason: 'its relay is gone', by: 'selection' },
  ];
  events.callMoved(aBinding('a', { generation: 3, moves }));
  t.like(heard[0]?.details, {
    relay: 'r1',
    generation: 3,
    from: 'r2',
    reason: 'its relay is gone',
    by: 'selection',
  });
});

test('relays are told by set, id and instance; a state with who wanted it and why', (t) => {
  const { events, heard } = open();
  const relay: RegisteredRelay = {
    relay: aRelay({ id: 'r7', set: 'edge' }),
    revision: 1,
    intent: { state: 'draining', reason: 'upgrade', actor: 'jo', atMs: 0 },
  };
  events.relayJoined(relay);
  events.relayStateChanged(relay, 'draining');
  t.deepEqual(heard[0]?.details, { set: 'edge', relay: 'r7', instance: 'life-of-r7' });
  t.like(heard[1]?.details, { state: 'draining', reason: 'upgrade', by: 'jo' });
});
