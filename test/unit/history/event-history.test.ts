import test from 'ava';
import { Events } from '../../../services/domain/events.js';
import type { Load, RegisteredRelay } from '../../../services/domain/relay.js';
import { EventHistory } from '../../../services/history/event-history.js';
import { GoneRelays } from '../../../services/history/gone-relays.js';
import { relayTeller } from '../../../services/selection/relay-teller.js';
import { ManualClock } from '../../support/clock.js';
import { aBinding, aRelay } from '../../support/registry.js';

function scene() {
  const clock = new ManualClock();
  const events = new Events();
  const gone = new GoneRelays(clock);
  const history = new EventHistory(clock, (set, id) => gone.instanceOf(set, id));
  events.subscribe((event) => history.hear(event));
  const teller = relayTeller(events);
  const change = (news: Parameters<typeof teller>[0]) => {
    teller(news);
    gone.hear(news);
  };
  const told = () =>
    history.feed
      .read(0, 10_000)
      .events.map(({ type, text, calls }) => [type, text, ...(calls ? [calls] : [])]);
  return { clock, events, gone, history, change, told };
}

const registered = (of: Partial<RegisteredRelay> = {}): RegisteredRelay => ({
  relay: aRelay(),
  revision: 1,
  ...of,
});

const moved = (callId: string) =>
  aBinding(callId, {
    relayId: 'r2',
    generation: 2,
    moves: [{ atMs: 1, from: 'r1', reason: 'its relay is gone', by: 'selection' }],
  });

test('what moves for one cause is one record with the number of calls', (t) => {
  const { clock, events, told } = scene();
  for (let i = 0; i < 336; i++) {
    events.callMoved(moved(`call-${i}`));
  }
  t.deepEqual(told(), [], 'more may follow');
  clock.advance(1000);
  t.deepEqual(told(), [
    ['calls-moved', '336 calls of default/r1 moved: its relay is gone, by selection', 336],
  ]);
});

test('a storm that lasts for long takes a bounded number of records, and each call is counted', (t) => {
  const { clock, events, told } = scene();
  for (let second = 0; second < 80_000; second += 5) {
    events.callRefused('ng', 'no-relay');
    clock.advance(5000);
  }
  clock.advance(60_000);
  const records = told();
  t.true(records.length < 1500, `${records.length}`);
  t.is(
    records.reduce((sum, [, , calls]) => sum + Number(calls), 0),
    80_000 / 5,
  );
  t.deepEqual(records[0], ['calls-refused', '1 call refused by ng: no relay of the set is eligible', 1]);
  clock.advance(60_000);
  events.callRefused('ng', 'no-relay');
  clock.advance(1000);
  t.is(told().length, records.length + 1, 'a new storm is told at once');
});

test('causes of ever new names take no more memory than a bounded number of them', (t) => {
  const { clock, events, told } = scene();
  for (let i = 0; i < 3000; i++) {
    events.callRefused('ng', `cause-${i}`);
  }
  t.is(told().length, 2000, 'the oldest made room');
  clock.advance(1000);
  t.is(told().length, 3000);
});

test('a relay that comes back under another instance was restarted', (t) => {
  const { change, told } = scene();
  const relay = registered();
  change({ type: 'joined', relay });
  change({ type: 'left', relay });
  change({ type: 'joined', relay });
  change({ type: 'left', relay });
  const other = registered({ relay: aRelay({ instance: 'another-life' }) });
  change({ type: 'joined', relay: other });
  const third = registered({ relay: aRelay({ instance: 'third-life' }) });
  change({ type: 'changed', relay: third, before: other });
  const left =
    'relay default/r1 left: its lease ran out: its relay node or host is gone, or cannot reach etcd';
  const restarted = 'relay default/r1 was restarted: the calls that it had are lost, and move';
  t.deepEqual(told(), [
    ['relay-joined', 'relay default/r1 joined'],
    ['relay-left', left],
    ['relay-joined', 'relay default/r1 is back'],
    ['relay-left', left],
    ['relay-restarted', restarted],
    ['relay-restarted', restarted],
  ]);
});

test('of a relay that vanished with many others it is told that it is back, or left, or was restarted', (t) => {
  const { change, told } = scene();
  const relay = registered();
  for (let round = 0; round < 2; round++) {
    change({ type: 'suspect', relay });
    change({ type: 'changed', relay, before: relay });
    change({ type: 'changed', relay, before: relay });
  }
  change({ type: 'suspect', relay });
  change({ type: 'left', relay });
  t.deepEqual(
    told().map(([type]) => type),
    ['relay-suspect', 'relay-joined', 'relay-suspect', 'relay-joined', 'relay-suspect', 'relay-left'],
  );
  t.is(told()[1]?.[1], 'relay default/r1 is back');
});

test('an outage after which nothing had to be written again leaves no record of that', (t) => {
  const { events, told } = scene();
  events.bindingsReasserted({ reasserted: 0, ended: 0, left: 0 });
  t.deepEqual(told(), []);
  events.bindingsReasserted({ reasserted: 2, ended: 0, left: 0 });
  t.is(told().length, 1);
});

/** The last report of a relay that is silent. */
const silent: Load = { calls: 0, cpu: 0, packetRate: 0, departure: 'silent', atMs: 0 };

test('what operators do is told with who and why, and a relay that they took away leaves in order', (t) => {
  const { change, history, told } = scene();
  const active = registered();
  const draining = registered({
    intent: { state: 'draining', reason: 'upgrade', actor: 'jo', atMs: 0 },
  });
  change({ type: 'changed', relay: draining, before: active });
  change({ type: 'changed', relay: active, before: draining });
  const weighted = registered({
    intent: { state: 'active', weight: 50, reason: '', actor: 'jo', atMs: 0 },
  });
  change({ type: 'changed', relay: weighted, before: active });
  change({ type: 'left', relay: { ...draining, load: silent } });
  t.deepEqual(told(), [
    ['relay-drained', 'relay default/r1 is draining: upgrade, by jo'],
    ['relay-resumed', 'relay default/r1 takes new calls again'],
    ['relay-weight', 'relay default/r1 now has weight 50 instead of 100: by jo'],
    ['relay-left', 'relay default/r1 left: it was draining; the relay does not answer its relay node'],
  ]);
  t.is(history.feed.read(3, 1).events[0]?.severity, 'info');
});

test('a relay is full once, and has room again when it has some; load reports are no events', (t) => {
  const { change, told } = scene();
  const withCalls = (calls: number) =>
    registered({
      relay: aRelay({ capacity: 100 }),
      load: { calls, cpu: 0, packetRate: 0, atMs: 0 },
    });
  let before = withCalls(10);
  for (const calls of [50, 100, 99, 100, 96, 100, 94, 10]) {
    const relay = withCalls(calls);
    change({ type: 'changed', relay, before });
    before = relay;
  }
  t.deepEqual(told(), [
    ['relay-full', 'relay default/r1 is full: 100 of 100 calls', 100],
    ['relay-has-room', 'relay default/r1 has room again: 94 of 100 calls', 94],
  ]);
});

test('etcd and the settings of others are told as they are', (t) => {
  const { events, history, told } = scene();
  history.begin(1);
  events.etcdLost({ reason: 'no quorum', newCalls: 'provisional' });
  events.etcdBack(1234.5);
  events.settingsDiffer('b (gRPC 192.0.2.2:7400)', ['HOLDFAST_LINGER_SECONDS']);
  t.deepEqual(told(), [
    ['replica-started', 'this replica is ready; 1 relay is registered'],
    ['etcd-lost', 'etcd lost, new calls are given a relay provisionally: no quorum'],
    ['etcd-back', 'etcd answers again, after 1.2 s'],
    ['settings-differ', 'replica b (gRPC 192.0.2.2:7400) has different values for HOLDFAST_LINGER_SECONDS'],
  ]);
});

test('a relay that has gone is known for a day, with since and why, unless it comes back', (t) => {
  const { clock, change, gone } = scene();
  const of = (id: string, set = 'default') => registered({ relay: aRelay({ id, set }) });
  change({ type: 'left', relay: of('r1') });
  clock.advance(1000);
  change({
    type: 'left',
    relay: registered({ relay: aRelay({ id: 'r2', set: 'edge' }), load: silent }),
  });
  change({ type: 'left', relay: registered({ relay: aRelay({ id: 'r3', state: 'draining' }) }) });
  t.deepEqual(
    gone.list().map(({ relay, reason, atMs }) => [relay.id, reason.slice(0, 20), clock.wallMs() - atMs]),
    [
      ['r3', 'its relay node was s', 0],
      ['r2', 'the relay does not a', 0],
      ['r1', 'its lease ran out: i', 1000],
    ],
  );
  t.deepEqual(
    gone.list('edge').map(({ relay }) => relay.id),
    ['r2'],
  );
  change({ type: 'joined', relay: of('r2', 'edge') });
  t.is(gone.list().length, 2);
  clock.advance(24 * 3_600_000 - 500);
  t.deepEqual(
    gone.list().map(({ relay }) => relay.id),
    ['r3'],
  );
});

test('certificates that change, cannot be used or expire are told, and etcd without space apart from etcd that is lost', (t) => {
  const { events, told } = scene();
  const validUntilMs = Date.UTC(2030, 0, 31, 12);
  events.certificatesChanged({ purpose: 'grpc', validUntilMs });
  events.certificatesInvalid({ purpose: 'etcd', reason: 'the key belongs to another certificate' });
  events.certificateExpires({ purpose: 'grpc', validUntilMs, hasExpired: false });
  events.certificateExpires({ purpose: 'grpc', validUntilMs, hasExpired: true });
  events.etcdLost({ reason: 'its space is exhausted (mvcc: database space exceeded)', newCalls: 'refused' });
  t.deepEqual(told(), [
    ['certificate-changed', 'certificate for grpc has changed, valid until 2030-01-31 12:00 UTC'],
    [
      'certificate-invalid',
      'new certificate for etcd is invalid; keeping the previous one: the key belongs to another certificate',
    ],
    ['certificate-expires', 'certificate for grpc expires on 2030-01-31 12:00 UTC'],
    ['certificate-expires', 'certificate for grpc has expired: 2030-01-31 12:00 UTC'],
    ['etcd-full', 'etcd lost, new calls are refused: its space is exhausted (mvcc: database space exceeded)'],
  ]);
});
