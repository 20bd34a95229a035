import test from 'ava';
import { Events } from '../../../services/domain/events.js';
import { logEvents } from '../../../services/replica/event-log.js';
import { ManualClock } from '../../support/clock.js';
import { aRelay } from '../../support/registry.js';
import { openLog } from '../../support/replica.js';

test('a thousand relays that leave at once take few lines, and are all counted', (t) => {
  const clock = new ManualClock();
  const { log, lines } = openLog();
  const events = new Events();
  events.subscribe(logEvents(log, clock));
  const leave = (id: string) =>
    events.relayLeft({
      relay: aRelay({ id }),
      revision: 1,
      intent: undefined,
      load: undefined,
      loadHeardAtMs: undefined,
    });
  for (let i = 0; i < 1000; i++) {
    leave(`r${i}`);
  }
  events.etcdBack(1);
  t.is(lines.length, 101, 'other lines are written meanwhile');
  clock.advance(10_000);
  t.is(lines.length, 102);
  t.like(lines.at(-1), { msg: 'relay left', more: 900, level: 40 });
  leave('later');
  t.like(lines.at(-1), { msg: 'relay left', relay: 'later' });
  clock.advance(100_000);
  t.is(lines.length, 103);
});

test('a relay that leaves in order is no warning', (t) => {
  const { log, lines } = openLog();
  const events = new Events();
  events.subscribe(logEvents(log, new ManualClock()));
  events.relayLeft({ relay: aRelay({ state: 'draining' }), revision: 1 });
  events.relayLeft({
    relay: aRelay(),
    load: { calls: 0, cpu: 0, packetRate: 0, atMs: 0, departure: 'silent' as const },
    revision: 1,
  });
  t.deepEqual(
    lines.map(({ level, reason }) => [level, reason]),
    [
      [30, 'its relay node was stopped'],
      [40, 'the relay does not answer its relay node'],
    ],
  );
});
