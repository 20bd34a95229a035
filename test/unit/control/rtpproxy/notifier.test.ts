import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { Notifier, notifierLimits } from '../../../../services/control/rtpproxy/notifier.js';
import { systemClock } from '../../../../services/runtime/clock.js';
import { silentLogger } from '../../../../services/runtime/log.js';
import { notifiedSocket } from '../../../support/notified-socket.js';
import { freeTcpPort } from '../../../support/ports.js';
import { eventually } from '../../../support/registry.js';
import { openLog } from '../../../support/replica.js';

test('what is told at once arrives in its order, over connections that the other side may close', async (t) => {
  const notifier = new Notifier({ clock: systemClock, log: silentLogger });
  t.teardown(() => notifier.stop());
  const socket = await notifiedSocket(t);
  const tags = Array.from({ length: 1000 }, (_, i) => `T${i}`);
  for (const tag of tags) {
    notifier.tell({ socket: socket.name, tag });
  }
  await eventually(() => socket.heard.length === tags.length, 'all lines');
  t.deepEqual(socket.heard, tags);
  await eventually(() => notifier.counters.noticesTold === tags.length, 'their count');
  socket.hangUp();
  // What is written before the end of the connection is known is lost, as with rtpproxy.
  await eventually(() => {
    notifier.tell({ socket: socket.name, tag: 'again' });
    return socket.heard.includes('again');
  }, 'another connection');
});

test('a socket that nobody listens at is tried again, and does not keep others waiting', async (t) => {
  const { log, lines } = openLog();
  const notifier = new Notifier({ clock: systemClock, log });
  t.teardown(() => notifier.stop());
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-notifier-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  const path = join(directory, 'late.sock');
  const dead = `tcp:127.0.0.1:${await freeTcpPort()}`;
  const alive = await notifiedSocket(t);
  for (const socket of [`unix:${path}`, dead, alive.name]) {
    notifier.tell({ socket, tag: 'T1' });
  }
  await eventually(() => alive.heard.length === 1, 'what can be told');
  const late = await notifiedSocket(t, path);
  await eventually(() => late.heard.length === 1, 'what can be told later');
  await eventually(() => notifier.counters.noticesLost === 1, 'the end of attempts');
  t.like(
    lines.find(({ msg }) => msg === 'cannot send timeout notices'),
    { socket: dead, lines: 1 },
  );
  t.regex(String(lines.find(({ msg }) => msg === 'cannot send timeout notices')?.['reason']), /ECONNREFUSED/);
});

test('what waits is bounded, and so are the sockets; what is beyond is counted', async (t) => {
  const notifier = new Notifier({ clock: systemClock, log: silentLogger });
  const socket = `tcp:127.0.0.1:${await freeTcpPort()}`;
  for (let i = 0; i < notifierLimits.lines + 10; i++) {
    notifier.tell({ socket, tag: 'T' });
  }
  t.is(notifier.counters.noticesLost, 10);
  notifier.stop();
  const other = new Notifier({ clock: systemClock, log: silentLogger });
  t.teardown(() => other.stop());
  for (let i = 0; i < notifierLimits.sockets + 3; i++) {
    other.tell({ socket: `unix:/nowhere/${i}`, tag: 'T' });
  }
  t.is(other.counters.noticesLost, 3);
  other.tell({ socket: 'unix:/nowhere/0', tag: 'T'.repeat(notifierLimits.bytes) });
  t.is(other.counters.noticesLost, 4, 'bytes');
});
