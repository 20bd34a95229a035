import { status } from '@grpc/grpc-js';
import test, { type ExecutionContext } from 'ava';
import {
  type Event,
  EventSeverity,
  type RelayServiceClient,
  RelayState,
  WatchEventsRequest,
  type WatchEventsResponse,
} from '../../../proto/generated/holdfast/v1/relay.js';
import { Inbox } from '../../support/etcd.js';
import { RawStream } from '../../support/raw-grpc.js';
import { aRelay, deleteRelay, eventually, putRelay } from '../../support/registry.js';
import {
  failure,
  listRelays,
  openReplica,
  putLoad,
  replicaScene,
  select,
  setIntent,
} from '../../support/replica.js';

const hour = 3600;

function past(relays: RelayServiceClient, sinceSeconds = hour): Promise<Event[]> {
  const events: Event[] = [];
  return new Promise((resolve, reject) => {
    relays
      .watchEvents({ sinceSeconds, follow: false })
      .on('data', ({ event }: WatchEventsResponse) => event && events.push(event))
      .on('error', reject)
      .on('end', () => resolve(events));
  });
}

/** What happens from now on. */
function follow(
  t: ExecutionContext,
  relays: RelayServiceClient,
  sinceSeconds = 0,
): Inbox<WatchEventsResponse> {
  const stream = relays.watchEvents({ sinceSeconds, follow: true });
  stream.on('error', () => {});
  t.teardown(() => stream.cancel());
  return new Inbox<WatchEventsResponse>(stream);
}

const typesOf = (events: readonly Event[]) => events.map(({ type, relayId }) => `${type} ${relayId}`.trim());

test('the life of a relay is told as it happens, and again to whoever asks later', async (t) => {
  const { client, keys, relays, etcd } = await replicaScene(t);
  const following = follow(t, relays, hour);
  t.like((await following.next()).event, { type: 'replica-started', sequence: 1n });
  const relay = aRelay({ id: 'r4', capacity: 10 });
  await putRelay(client, keys, relay);
  await putLoad(client, keys, 'r4', { calls: 10 });
  await setIntent(relays, {
    relayId: 'r4',
    state: RelayState.DRAINING,
    reason: '<b>upgrade</b>',
    actor: 'jo',
  });
  await putRelay(client, keys, { ...relay, instance: 'another-life' });
  await setIntent(relays, { relayId: 'r4', state: RelayState.ACTIVE, actor: 'jo' });
  await deleteRelay(client, keys, relay);
  const told: Event[] = [];
  while (told.at(-1)?.type !== 'relay-left') {
    const { event } = await following.next();
    if (event) {
      told.push(event);
    }
  }
  t.deepEqual(typesOf(told), [
    'relay-joined r4',
    'relay-full r4',
    'relay-drained r4',
    'relay-restarted r4',
    'relay-resumed r4',
    'relay-left r4',
  ]);
  t.like(told[2], {
    reason: '<b>upgrade</b>',
    actor: 'jo (unverified)',
    set: 'default',
    severity: EventSeverity.INFO,
  });
  t.like(told[4], {
    actor: 'jo (unverified)',
    text: 'relay default/r4 takes new calls again: by jo (unverified)',
  });
  t.is(told[5]?.severity, EventSeverity.CRITICAL);
  t.deepEqual((await past(relays)).slice(1), told);

  const { gone } = await listRelays(relays);
  t.deepEqual(
    gone.map(({ relay: { id } = { id: '' }, reason }) => [id, reason]),
    [['r4', 'its lease ran out: its relay node or host is gone, or cannot reach etcd']],
  );
  t.true(Math.abs((gone[0]?.time?.getTime() ?? 0) - (told[5]?.time?.getTime() ?? 0)) < 1000);
  const other = await openReplica(t, etcd.endpoint, keys);
  await other.ready;
  t.deepEqual(typesOf(await past(other.relays)), ['replica-started'], 'it has seen nothing yet');
});

test('calls that move off a dead relay are one event, and refused ones are one for each cause', async (t) => {
  const { client, keys, selection, relays } = await replicaScene(t, [{ id: 'r1' }]);
  const calls = Array.from({ length: 20 }, (_, i) => `call-${i}`);
  await Promise.all(calls.map((callId) => select(selection, { callId })));
  await putRelay(client, keys, aRelay({ id: 'r2' }));
  await deleteRelay(client, keys, aRelay({ id: 'r1' }));
  await eventually(async () => (await listRelays(relays)).relays.length === 1, 'the leave');
  const following = follow(t, relays);
  await Promise.all(calls.map((callId) => select(selection, { callId, inDialog: true })));
  await failure(select(selection, { callId: 'x', set: 'empty' }));
  await failure(select(selection, { callId: 'y', set: 'empty' }));
  const told = [(await following.next()).event, (await following.next()).event];
  const [moved, refused] = told.sort((a, b) => (a?.type ?? '').localeCompare(b?.type ?? ''));
  t.like(moved, { type: 'calls-moved', relayId: 'r1', calls: 20n });
  t.regex(moved?.text ?? '', /^20 calls of default\/r1 moved: /);
  t.like(refused, { type: 'calls-refused', calls: 2n, reason: 'no-relay' });
});

test('settings that differ are told by both replicas', async (t) => {
  const one = await replicaScene(t);
  const following = follow(t, one.relays, hour);
  await following.next();
  const other = await openReplica(t, one.etcd.endpoint, one.keys, { HOLDFAST_LINGER_SECONDS: '60' });
  await other.ready;
  const { event } = await following.next();
  t.like(event, { type: 'settings-differ', severity: EventSeverity.WARNING });
  t.true(event?.text.includes('HOLDFAST_LINGER_SECONDS'));
  t.true(event?.text.includes(other.grpc), event?.text);
});

test('a subscriber that does not read keeps nobody else from events', async (t) => {
  const { client, keys, grpc, relays } = await replicaScene(t);
  const silent = await RawStream.open(t, grpc, '/holdfast.v1.RelayService/WatchEvents');
  silent.send(WatchEventsRequest.encode({ sinceSeconds: hour, follow: true }).finish());
  silent.end();
  const following = follow(t, relays, hour);
  t.is((await following.next()).event?.type, 'replica-started');
  for (let i = 0; i < 50; i++) {
    await putRelay(client, keys, aRelay({ id: 'flaps' }));
    await deleteRelay(client, keys, aRelay({ id: 'flaps' }));
  }
  for (let i = 0; i < 100; i++) {
    t.is((await following.next()).event?.relayId, 'flaps');
  }
});

test('a time that is too long ago is refused with what is allowed', async (t) => {
  const { relays } = await replicaScene(t);
  const error = await failure(past(relays, 86_401));
  t.is(error.code, status.INVALID_ARGUMENT);
  t.regex(error.details, /since_seconds: 86401; allowed: 0-86400/);
});
