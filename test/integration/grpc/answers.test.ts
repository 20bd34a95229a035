import { status } from '@grpc/grpc-js';
import test from 'ava';
import { RelayState } from '../../../proto/generated/holdfast/v1/relay.js';
import {
  CallState,
  Freshness,
  LookupRequest,
  Origin,
  SelectRequest,
} from '../../../proto/generated/holdfast/v1/selection.js';
import { aRelay, deleteRelay, eventually, putRelay } from '../../support/registry.js';
import {
  asks,
  failure,
  listRelays,
  lookup,
  move,
  openReplica,
  putLoad,
  release,
  replicaScene,
  select,
  setIntent,
} from '../../support/replica.js';

test('a call is bound once, and its binding has all that a proxy needs', async (t) => {
  const { selection } = await replicaScene(t, [
    {
      id: 'r1',
      zone: 'z1',
      labels: { codec: 'opus' },
      mediaAddresses: { default: '192.0.2.1' },
      capacity: 9,
    },
  ]);
  const before = Date.now();
  const first = await select(selection, { callId: 'call', requestId: 'invite' });
  t.is(first.origin, Origin.NEW);
  t.is(first.freshness, Freshness.FRESH);
  const { binding } = first;
  t.like(binding, { callId: 'call', viaBranch: '', generation: 1n, released: false, moves: [] });
  t.is(binding?.state, CallState.SETUP);
  t.like(binding?.relay, {
    id: 'r1',
    set: 'default',
    instance: 'life-of-r1',
    controlUrl: 'udp:192.0.2.1:2001',
    mediaAddresses: { default: '192.0.2.1' },
    state: RelayState.ACTIVE,
    weight: 100,
    capacity: 9,
    zone: 'z1',
    labels: { codec: 'opus' },
  });
  t.true(Math.abs((binding?.createTime?.getTime() ?? 0) - before) < 5000);
  t.true((binding?.expireTime?.getTime() ?? 0) >= before + 300_000);

  const later = await select(selection, { callId: 'call', requestId: 're-invite' });
  t.is(later.origin, Origin.EXISTING);
  t.true((later.binding?.expireTime?.getTime() ?? 0) >= before + 3_600_000);
  const found = await lookup(selection, 'call');
  t.deepEqual(found.binding, later.binding);
  t.is(found.origin, Origin.EXISTING);

  const branch = await select(selection, { callId: 'call', viaBranch: 'z9hG4bK1' });
  t.is(branch.origin, Origin.NEW, 'a branch is bound separately');
});

test('a lookup that is to be current tells of a call that began again elsewhere', async (t) => {
  const { etcd, keys, selection } = await replicaScene(t);
  const other = await openReplica(t, etcd.endpoint, keys);
  await other.ready;
  const first = await select(other.selection, { callId: 'again', requestId: 'first' });
  await release(selection, 'again');
  const second = await select(selection, { callId: 'again', requestId: 'second' });
  t.not(second.binding?.beginning, first.binding?.beginning);
  const { binding } = await lookup(other.selection, 'again', true);
  t.is(binding?.beginning, second.binding?.beginning);
  t.true((await release(other.selection, 'again', binding?.beginning)).found);
  t.true((await lookup(selection, 'again', true)).binding?.released);
});

test('the same request gets the same answer from another replica', async (t) => {
  const { etcd, keys, selection } = await replicaScene(t);
  const other = await openReplica(t, etcd.endpoint, keys);
  await other.ready;
  const request = { callId: 'retried', requestId: 'the-same' };
  const first = await select(selection, request);
  const again = await select(other.selection, request);
  t.deepEqual(again, first);
  t.is(again.origin, Origin.NEW);
  t.is((await select(other.selection, { ...request, requestId: 'another' })).origin, Origin.EXISTING);
});

test('unknown calls, relays and sets: each has its error', async (t) => {
  const { selection, relays } = await replicaScene(t);
  const refused = await failure(lookup(selection, 'nobody'));
  t.is(refused.code, status.NOT_FOUND);
  t.is(refused.details, 'call nobody has no binding');
  t.is((await failure(move(selection, { callId: 'nobody', generation: 1n }))).code, status.NOT_FOUND);
  t.deepEqual(await release(selection, 'nobody'), {
    found: false,
  });

  await select(selection, { callId: 'somebody' });
  const target = await failure(
    move(selection, { callId: 'somebody', generation: 1n, targetRelayId: 'stranger' }),
  );
  t.is(target.code, status.UNAVAILABLE);
  t.regex(target.details, /relay stranger is not registered in set default/);
  const intent = { relayId: 'stranger', state: RelayState.DRAINING };
  const unknown = await failure(setIntent(relays, intent));
  t.is(unknown.code, status.NOT_FOUND);
  t.regex(
    unknown.details,
    /^relay default\/stranger is not registered, and has no intent; nothing was written/,
  );
  const drained = { relayId: 'stranger', state: RelayState.DRAINING };
  t.like(await setIntent(relays, { ...intent, absentOk: true }), { registered: false, intent: drained });
  await eventually(async () => (await listRelays(relays)).absent.length === 1, 'its intent is listed');
  t.like((await listRelays(relays)).absent, [{ set: 'default', ...drained }]);

  const empty = await failure(select(selection, { callId: 'new', set: 'empty' }));
  t.is(empty.code, status.UNAVAILABLE);
  t.regex(empty.details, /none is registered in set empty/);
  const unlike = await failure(select(selection, { callId: 'new', labels: { codec: 'none' } }));
  t.is(unlike.code, status.UNAVAILABLE);
  t.regex(unlike.details, /set default has 3 that take calls, but none fits/);
  const all = ['r1', 'r2', 'r3'];
  t.is((await failure(select(selection, { callId: 'new', excludedRelayIds: all }))).code, status.UNAVAILABLE);
});

test('full, drained and unregistered relays have different errors; bound calls are answered', async (t) => {
  const { client, keys, selection, relays } = await replicaScene(t, [
    { id: 'r1', capacity: 2 },
    { id: 'r2', capacity: 2 },
  ]);
  const { binding } = await select(selection, { callId: 'bound' });
  for (const id of ['r1', 'r2']) {
    await putLoad(client, keys, id, { calls: 2 });
  }
  await eventually(
    async () => (await failureCode(selection, 'full-1')) === status.RESOURCE_EXHAUSTED,
    'full set',
  );
  const full = await failure(select(selection, { callId: 'full-2' }));
  t.is(full.details, 'no relay is free: all 2 eligible relays of set default are at their capacity');

  for (const id of ['r1', 'r2']) {
    await putLoad(client, keys, id, { calls: 0 });
  }
  await eventually(async () => (await failureCode(selection, 'free-1')) === undefined, 'free relay');
  for (const relayId of ['r1', 'r2']) {
    const intent = { relayId, state: RelayState.DISABLED, reason: 'night' };
    t.like(await setIntent(relays, intent), { registered: true, intent });
  }
  await eventually(
    async () => (await failureCode(selection, `off-${Math.random()}`)) === status.UNAVAILABLE,
    'no relay',
  );
  const disabled = await failure(select(selection, { callId: 'off' }));
  t.regex(disabled.details, /set default has 2 registered, none of which takes calls/);
  const still = await select(selection, { callId: 'bound' });
  t.is(still.binding?.relay?.id, binding?.relay?.id);
  t.is(still.binding?.relay?.state, RelayState.DISABLED);
  t.is(still.binding?.relay?.reason, 'night');

  for (const id of ['r1', 'r2']) {
    await deleteRelay(client, keys, aRelay({ id }));
  }
  const gone = async () => (await listRelays(relays)).relays.length === 0;
  await eventually(gone, 'empty list');
  for (const callId of ['bound', 'new']) {
    const none = await failure(select(selection, { callId }));
    t.is(none.code, status.UNAVAILABLE);
    t.regex(none.details, /none is registered in set default/);
  }
  // Lookup returns the binding even if its relay is gone.
  const found = await lookup(selection, 'bound');
  t.like(found.binding?.relay, { id: binding?.relay?.id, controlUrl: '', state: RelayState.UNSPECIFIED });

  async function failureCode(of: typeof selection, callId: string): Promise<number | undefined> {
    return select(of, { callId }).then(
      () => undefined,
      (error) => error.code,
    );
  }
});

test('a call whose relay is gone moves once, and all replicas tell the same', async (t) => {
  const { etcd, client, keys, selection } = await replicaScene(t, [{ id: 'r1' }]);
  const other = await openReplica(t, etcd.endpoint, keys);
  await other.ready;
  await select(selection, { callId: 'call' });
  await select(other.selection, { callId: 'call' });
  await deleteRelay(client, keys, aRelay({ id: 'r1' }));
  await putRelay(client, keys, aRelay({ id: 'r2' }));
  const moved = async (from: typeof selection) =>
    (await select(from, { callId: 'call' })).origin === Origin.MOVED;
  for (const each of [selection, other.selection]) {
    await eventually(() => moved(each).catch(() => false), 'move');
  }
  const [one, two] = [
    await select(selection, { callId: 'call' }),
    await select(other.selection, { callId: 'call' }),
  ];
  t.deepEqual(one.binding, two.binding);
  t.is(one.binding?.generation, 2n);
  t.is(one.binding?.relay?.id, 'r2');

  // The relay comes back under its name, in another life: nothing moves back.
  await putRelay(client, keys, aRelay({ id: 'r1', instance: 'second-life' }));
  t.is((await select(other.selection, { callId: 'call' })).binding?.relay?.id, 'r2');
});

test('Move names the generation it replaces, moves once, and a retry gets the same answer', async (t) => {
  const { selection } = await replicaScene(t);
  const { binding } = await select(selection, { callId: 'call' });
  const from = binding?.relay?.id;
  const request = { callId: 'call', generation: 1n, requestId: 'move-1' };
  const moved = await move(selection, request);
  t.is(moved.binding?.generation, 2n);
  t.not(moved.binding?.relay?.id, from);
  t.deepEqual(await move(selection, request), moved, 'a retry');
  const stale = await failure(move(selection, { ...request, requestId: 'move-2' }));
  t.is(stale.code, status.FAILED_PRECONDITION);
  t.is(stale.details, 'generation: call call is at generation 2, not 1');
  t.is((await failure(move(selection, { ...request, generation: 9n }))).code, status.FAILED_PRECONDITION);

  const back = await move(selection, { callId: 'call', generation: 2n, targetRelayId: String(from) });
  t.is(back.binding?.relay?.id, from);
  t.is(back.binding?.generation, 3n);
  t.deepEqual(back.binding?.createTime, binding?.createTime);
  const told = await select(selection, { callId: 'call' });
  t.is(told.origin, Origin.MOVED);
  const left = [from, moved.binding?.relay?.id];
  t.deepEqual(
    told.binding?.moves.map(({ fromRelayId, reason }) => [fromRelayId, reason]),
    left.map((id) => [id, 'a test']),
  );
  t.true(told.binding?.moves.every(({ time }) => Math.abs((time?.getTime() ?? 0) - Date.now()) < 60_000));
});

test('Release is idempotent, and the binding lingers', async (t) => {
  const { selection } = await replicaScene(t);
  const { binding } = await select(selection, { callId: 'call' });
  const releases = () => release(selection, 'call');
  t.deepEqual(await releases(), { found: true });
  t.deepEqual(await releases(), { found: true });
  const late = await select(selection, { callId: 'call', inDialog: true });
  t.is(late.binding?.relay?.id, binding?.relay?.id);
  t.true(late.binding?.released);
  t.is(late.binding?.state, CallState.RELEASED);
  const remainingMs = (late.binding?.expireTime?.getTime() ?? 0) - Date.now();
  t.true(remainingMs > 20_000 && remainingMs <= 30_000, `lingers ${remainingMs} ms`);
});

test('a Release that names a beginning leaves a call that has begun again', async (t) => {
  const { selection, etcd, keys } = await replicaScene(t);
  const other = await openReplica(t, etcd.endpoint, keys);
  await other.ready;
  const first = await select(selection, { callId: 'call', requestId: 'first' });
  t.is(first.binding?.beginning, 'first');
  const again = await select(other.selection, { callId: 'call' });
  t.is(again.binding?.beginning, 'first', 'a later use of the same beginning');
  const releases = (beginning: string) => release(other.selection, 'call', beginning);
  t.deepEqual(await releases('first'), { found: true });
  t.deepEqual(await releases('first'), { found: true }, 'can be repeated');
  const second = await select(selection, { callId: 'call', requestId: 'second' });
  t.is(second.binding?.beginning, 'second');
  t.deepEqual(await releases('first'), { found: false });
  t.is((await select(other.selection, { callId: 'call' })).binding?.state, CallState.SETUP);
  t.deepEqual(await releases('second'), { found: true });
});

test('a Select after Release begins the call again, at any replica; in its dialog it does not', async (t) => {
  const { etcd, keys, selection } = await replicaScene(t);
  const other = await openReplica(t, etcd.endpoint, keys);
  await other.ready;
  for (let i = 0; i < 30; i++) {
    const callId = `retried-${i}`;
    const first = await select(selection, { callId });
    await select(other.selection, { callId });
    await release(i % 2 ? selection : other.selection, callId);
    const asked = i % 3 ? selection : other.selection;
    const late = await select(asked, { callId, inDialog: true });
    t.is(late.binding?.relay?.id, first.binding?.relay?.id);
    const again = await select(asked, { callId, requestId: 'again' });
    t.is(again.origin, Origin.NEW);
    t.like(again.binding, { released: false, generation: 1n, createTime: first.binding?.createTime });
    t.is(again.binding?.state, CallState.SETUP);
    t.is(again.binding?.relay?.id, first.binding?.relay?.id);
    t.true((again.binding?.expireTime?.getTime() ?? 0) > Date.now() + 300_000, 'it does not linger only');
    const answered = await select(other.selection, { callId, inDialog: true });
    t.is(answered.binding?.state, CallState.ANSWERED);
    t.is((await lookup(selection, callId)).binding?.relay?.id, first.binding?.relay?.id);
  }
});

test('one Call-ID in two sets is two bindings; without a set it is found where it is', async (t) => {
  const { selection } = await replicaScene(t, [
    { id: 'r1', set: 'edge' },
    { id: 'r2', set: 'core' },
    { id: 'r3' },
  ]);
  await select(selection, { callId: 'one', set: 'edge' });
  const unnamed = await select(selection, { callId: 'one', inDialog: true });
  t.like(unnamed.binding?.relay, { id: 'r1', set: 'edge' });
  t.is((await lookup(selection, 'one')).binding?.relay?.set, 'edge');
  const core = await select(selection, { callId: 'one', set: 'core' });
  t.is(core.origin, Origin.NEW);
  t.like(core.binding?.relay, { id: 'r2', set: 'core' });
  t.is((await failure(lookup(selection, 'one'))).code, status.NOT_FOUND, 'two others have it');
  t.like((await select(selection, { callId: 'one' })).binding?.relay, { id: 'r3', set: 'default' });
  const only = { callId: 'one', viaBranch: '', set: 'edge' };
  t.deepEqual(await asks(selection, selection.release, { ...only, beginning: '' }), { found: true });
  const { binding } = await asks(
    selection,
    selection.lookup,
    LookupRequest.fromPartial({ ...only, set: 'core' }),
  );
  t.false(binding?.released);
  t.true((await asks(selection, selection.lookup, LookupRequest.fromPartial(only))).binding?.released);
});

test('a new call goes beside the one that it is to meet, and to a relay that can do what it needs', async (t) => {
  const relays = Array.from({ length: 8 }, (_, i) => ({
    id: `r${i + 1}`,
    features: i < 6 ? ['srtp'] : ['ice'],
  }));
  const { selection } = await replicaScene(t, relays);
  for (let i = 0; i < 10; i++) {
    const { binding } = await select(selection, { callId: `a-${i}`, features: ['srtp'] });
    t.true(Number(binding?.relay?.id.slice(1)) <= 6);
    const beside = await select(selection, { callId: `b-${i}`, withCallId: `a-${i}` });
    t.is(beside.binding?.relay?.id, binding?.relay?.id);
  }
  const none = await failure(select(selection, { callId: 'c', features: ['srtp', 'ice'] }));
  t.is(none.code, status.UNAVAILABLE);
  t.regex(none.details, /none fits the request's exclusions, labels and features/);
});

test('an error about the longest Call-ID reaches the client', async (t) => {
  const { selection } = await replicaScene(t);
  const unknown = await failure(lookup(selection, '%'.repeat(16_384)));
  t.is(unknown.code, status.NOT_FOUND);
  t.regex(unknown.details, /^call %%%/);
});

test('a request above 64 KiB is refused, and the connection goes on', async (t) => {
  const { selection } = await replicaScene(t);
  const huge = await failure(select(selection, { callId: 'x'.repeat(70_000) }));
  t.is(huge.code, status.RESOURCE_EXHAUSTED);
  t.regex(huge.details, /larger than max/);
  t.is((await select(selection, SelectRequest.fromPartial({ callId: 'small' }))).origin, Origin.NEW);
});
