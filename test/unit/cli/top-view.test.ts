import test from 'ava';
import { newChoice } from '../../../services/cli/top/choice.js';
import { topLines, topScreen } from '../../../services/cli/top/view.js';
import { EventRing } from '../../../services/history/event-ring.js';
import { type ReplicaState, shown } from '../../../services/page/state.js';
import { statusOf } from '../../../services/page/status.js';
import { ManualClock } from '../../support/clock.js';
import { aRelay } from '../../support/registry.js';
import { stateAt } from '../page/scene.js';

const terminal = { width: 80, colors: false };

function relay(id: string, calls: number, more: Partial<Parameters<typeof aRelay>[0]> = {}) {
  const load = { calls, cpu: 0, packetRate: 50 * calls, kernelPacketRate: 50 * calls, pingMs: 0.4, atMs: 0 };
  return { relay: aRelay({ id, capacity: 100, ...more }), revision: 1, load };
}

function scene(of: Partial<ReplicaState> = {}) {
  const clock = new ManualClock();
  const feed = new EventRing(clock);
  const state = stateAt(clock, {
    feed,
    relays: () => [relay('media-1', 30), relay('media-2', 10), relay('media-10', 100, { zone: 'z1' })],
    traffic: () => ({ newPerSecond: 41, newByRelay: new Map([['default/media-1', 41]]), p99Ms: 6 }),
    ...of,
  });
  const told = shown(state, () => statusOf(state));
  const screen = (choice = newChoice(), height = 24) =>
    topScreen(told, choice, { terminal, height }, clock.monotonicMs());
  const ids = (choice = newChoice()) =>
    screen(choice)
      .map((line) => /\bmedia-\d+/.exec(line)?.[0])
      .filter(Boolean);
  return { clock, feed, told, screen, ids };
}

test('it has the sentence of the page, the relays with their rates, and what happened last first', (t) => {
  const { feed, clock, screen } = scene({ relays: () => [relay('media-1', 30)] });
  feed.add({ type: 'relay-joined', severity: 'info', text: 'relay default/media-1 joined' });
  clock.advance(1000);
  feed.add({ type: 'calls-refused', severity: 'critical', text: '3 calls refused' });
  const lines = screen();
  t.is(lines[0], '✓ All well: 1 relay, 30 calls, 41 new/s, p99 6.0 ms, etcd answers');
  t.regex(lines[3] ?? '', /^SET +RELAY +STATE +CALLS +SHARE +NEW\/S +PING +PACKETS\/S/);
  t.regex(lines[4] ?? '', /^default +media-1 +● active +30\/100 +100% of 100% +41 +0\.4 ms +1,500/);
  t.regex(lines[6] ?? '', /✕ 3 calls refused$/);
  t.regex(lines[7] ?? '', /· relay default\/media-1 joined$/);
  t.regex(lines.at(-1) ?? '', /^etcd answers; 0 replicas; asked: test$/);
});

test('trouble comes first until somebody sorts, and only trouble is shown on request', (t) => {
  const { ids } = scene();
  t.deepEqual(ids().slice(-3), ['media-10', 'media-1', 'media-2'], 'the full one first');
  t.deepEqual(ids({ ...newChoice(), sort: 'CALLS' }).slice(-3), ['media-10', 'media-1', 'media-2']);
  t.deepEqual(ids({ ...newChoice(), sort: 'CALLS', descending: false }).slice(-3), [
    'media-2',
    'media-1',
    'media-10',
  ]);
  t.deepEqual(ids({ ...newChoice(), sort: 'RELAY', descending: false }).slice(-3), [
    'media-1',
    'media-2',
    'media-10',
  ]);
  t.is(ids({ ...newChoice(), trouble: true }).at(-1), 'media-10');
  t.is(
    scene()
      .screen({ ...newChoice(), trouble: true })
      .filter((line) => line.startsWith('default')).length,
    1,
  );
});

test('a filter is by set, name, zone, kind and state', (t) => {
  const rows = (filter: string) =>
    scene()
      .screen(newChoice(filter))
      .filter((line) => line.startsWith('default'));
  t.is(rows('MEDIA-1').length, 2);
  t.is(rows('z1').length, 1);
  t.is(rows('full').length, 1);
  t.true(scene().screen(newChoice('nobody')).includes('no relay matches'));
});

test('no screen has more lines than the terminal, nor a longer one, and it can be scrolled to its end', (t) => {
  const many = Array.from({ length: 300 }, (_, i) =>
    relay(`media-${i}`, i % 90, { zone: 'a-zone-with-a-long-name' }),
  );
  const { feed, screen } = scene({ relays: () => many });
  for (let i = 0; i < 500; i++) {
    feed.add({ type: 'relay-joined', severity: 'warning', text: `event ${i} ${'x'.repeat(200)}` });
  }
  for (const height of [2, 3, 5, 10, 24, 60]) {
    const lines = screen(newChoice(), height);
    t.true(lines.length <= height, `${height}: ${lines.length}`);
    t.true(lines.every((line) => [...line].length <= terminal.width));
  }
  const choice = { ...newChoice(), sort: 'RELAY', descending: false, scroll: 9999 };
  t.true(screen(choice).some((line) => line.includes('media-299')));
  t.true(choice.scroll < 300);
});

test('what is old is said to be stale, and nothing that others wrote reaches the terminal as a command', (t) => {
  const gone = [{ ...relay('media-7', 0), atMs: 0, reason: 'left \x1b[2J' }];
  const { clock, told, feed } = scene({ gone: () => gone });
  feed.add({ type: 'relay-left', severity: 'critical', text: 'evil \x1b[2J\u202e' });
  const heardAtMs = clock.monotonicMs();
  clock.advance(7000);
  const lines = topScreen(told, newChoice(), { terminal, height: 24 }, heardAtMs);
  t.true(lines.includes('… stale for 7 s; trying again'), lines.join('\n'));
  const all = [...lines, ...topLines(told, newChoice(), { width: undefined, colors: false })].join('');
  t.true(all.includes('evil'));
  t.false(all.includes('\x1b') || all.includes('\u202e'));
});

test('a relay that is gone says when it left, and why', (t) => {
  const left = new Date(2026, 0, 31, 4, 5, 6);
  const gone = [{ ...relay('media-7', 0), atMs: left.getTime(), reason: 'its lease ran out' }];
  const { told } = scene({ gone: () => gone });
  const lines = topLines(told, newChoice(), { width: undefined, colors: false });
  t.regex(lines.join('\n'), / media-7 +✕ gone .* 04:05:06: its lease ran out$/m);
});
