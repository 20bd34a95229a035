import test from 'ava';
import { aRelay, deleteRelay, putRelay } from '../../support/registry.js';
import { startHoldfast } from '../../support/stack.js';

import { fails, stack, succeeds } from './scene.js';

test('events: what happened, for people and for programs, and with --follow as it happens', async (t) => {
  const { client, keys, grpc } = await stack;
  const following = await startHoldfast(t, ['events', '--follow'], { HOLDFAST_SERVER: grpc });
  await following.waitForLine(/Z {2} {3}replica-started +this replica is ready; 3 relays are registered$/);
  const relay = aRelay({ id: 'e1', set: 'events' });
  await putRelay(client, keys, relay);
  await following.waitForLine(/Z {2} {3}relay-joined +relay events\/e1 joined$/);
  await deleteRelay(client, keys, relay);
  await following.waitForLine(/Z {2}!! relay-left +relay events\/e1 left: its lease ran out/);
  following.signal('SIGINT');
  await following.exited;

  const lines = (await succeeds(t, 'events', '--since', '1h')).trimEnd().split('\n');
  t.deepEqual(
    lines.map((line) => line.split(/ +/)[1]),
    ['replica-started', 'relay-joined', '!!'],
  );
  const events = (await succeeds(t, 'events', '--json'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.deepEqual(
    events.map(({ sequence, type, severity, relay: id }) => [sequence, type, severity, id]),
    [
      [1, 'replica-started', 'info', undefined],
      [2, 'relay-joined', 'info', 'e1'],
      [3, 'relay-left', 'critical', 'e1'],
    ],
  );
  t.is(await succeeds(t, 'events', '--since', '0'), '');

  const shown = await succeeds(t, 'relays');
  t.regex(shown, /left within the last 24 h[^\n]*\nSET +RELAY +LEFT +CALLS +WHY\nevents +e1 +/);
  const { gone } = JSON.parse(await succeeds(t, 'relays', '--json'));
  t.like(gone[0], { set: 'events', id: 'e1', instance: 'life-of-e1' });
});

test('events: a duration that is none, or too long, is refused with what is allowed', async (t) => {
  for (const since of ['soon', '25h', '-1', '1.5h']) {
    t.regex(await fails(t, 2, 'events', `--since=${since}`), /allowed: at most 86400 s, as 90s, 10m or 24h/);
  }
});
