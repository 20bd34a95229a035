import test from 'ava';
import {
  Relay,
  RelayState,
  WatchRelaysResponse_Type as Type,
  WatchRelaysResponse,
} from '../../../proto/generated/holdfast/v1/relay.js';
import { RelayView } from '../../../services/cli/relay-screen.js';

const terminal = { width: 80, colors: false };
const at = new Date(2030, 0, 1, 9, 5, 7);

function scene() {
  const view = new RelayView();
  const tell = (type: Type, relay: Partial<Relay>) =>
    view.apply(
      WatchRelaysResponse.fromPartial({
        type,
        relay: Relay.fromPartial({ set: 'default', state: RelayState.ACTIVE, weight: 100, ...relay }),
      }),
      at,
    );
  return { view, tell, lines: (height = 24) => view.lines(terminal, height) };
}

test('the screen has the relays that are there now, in order, and what changed last', (t) => {
  const { tell, lines } = scene();
  tell(Type.SNAPSHOT, { id: 'r2' });
  tell(Type.SNAPSHOT, { id: 'r1' });
  tell(Type.JOINED, { id: 'r3' });
  tell(Type.CHANGED, { id: 'r1', state: RelayState.DRAINING, reason: 'new kernel', actor: 'ann' });
  tell(Type.CHANGED, { id: 'r2', weight: 7 });
  tell(Type.LEFT, { id: 'r3' });
  const shown = lines();
  t.is(shown[0], '2 relays, 1 draining, 1 active (Ctrl-C ends)');
  t.deepEqual(
    shown.slice(3, 5).map((line) => line.split(/ {2,}/).slice(0, 3)),
    [
      ['default', 'r1', 'draining'],
      ['default', 'r2', 'active'],
    ],
  );
  t.deepEqual(shown.slice(6, -1), [
    '09:05:07  default/r3 joined, active',
    '09:05:07  default/r1 is draining: new kernel, by ann',
    '09:05:07  default/r2 now has weight 7 instead of 100',
    '09:05:07  default/r3 left, with ? calls',
  ]);
});

test('a load report changes the table, and is no change to tell', (t) => {
  const { tell, lines } = scene();
  tell(Type.SNAPSHOT, { id: 'r1' });
  tell(Type.CHANGED, { id: 'r1', load: { calls: 41, cpu: 0, packetRate: 0, reportTime: undefined } });
  t.regex(lines()[3] ?? '', / 41 /);
  t.is(lines().length, 5);
});

test('a screen whose watch was lost says so, and goes on with the next one', (t) => {
  const { tell, view, lines } = scene();
  const synced = () => view.apply(WatchRelaysResponse.fromPartial({ type: Type.SYNCED }), at);
  tell(Type.SNAPSHOT, { id: 'r1' });
  tell(Type.SNAPSHOT, { id: 'r2' });
  synced();
  view.lost('connection refused', at);
  view.lost('still refused', at);
  t.is(lines()[1], 'stale since 09:05:07, trying again: connection refused');
  t.is(lines()[0], '2 relays, 2 active (Ctrl-C ends)', 'what was known last is shown meanwhile');
  tell(Type.SNAPSHOT, { id: 'r2', weight: 7 });
  synced();
  const shown = lines();
  t.deepEqual(shown.slice(0, 2), ['1 relay, 1 active (Ctrl-C ends)', '']);
  t.deepEqual(shown.slice(5, -1), [
    '09:05:07  default/r2 now has weight 7 instead of 100',
    '09:05:07  default/r1 left, with ? calls',
  ]);
});

test('the screen never has more lines than the terminal, nor a longer one', (t) => {
  const { tell, lines } = scene();
  for (let i = 0; i < 100; i++) {
    tell(Type.JOINED, { id: `relay-${i}`, controlUrl: 'udp:192.0.2.1:2223', reason: 'x'.repeat(256) });
  }
  for (const height of [3, 4, 5, 24, 99, 101, 110, 200]) {
    const shown = lines(height);
    t.true(shown.length <= Math.max(height, 4), `${height}: ${shown.length}`);
    t.true(shown.every((line) => line.length <= 80));
  }
  t.is(lines(24).at(-2), '… 81 more');
});

test('nothing that a reason holds reaches the terminal as a command', (t) => {
  const { tell, lines } = scene();
  tell(Type.SNAPSHOT, { id: 'r1' });
  tell(Type.CHANGED, { id: 'r1', state: RelayState.DRAINING, reason: '\x1b[2J' });
  t.false(lines().join('').includes('\x1b'));
});
