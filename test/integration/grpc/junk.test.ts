import { status } from '@grpc/grpc-js';
import test from 'ava';
import { Origin } from '../../../proto/generated/holdfast/v1/selection.js';
import { aRelay, eventually, putRelay } from '../../support/registry.js';
import { failure, listRelays, lookup, openReplica, replicaScene, select } from '../../support/replica.js';

/** What a hand, a bug or another version may put under our keys. */
const values = [
  Buffer.of(),
  Buffer.from('not json'),
  Buffer.from('null'),
  Buffer.from('[]'),
  Buffer.from('"text"'),
  Buffer.from('{}'),
  Buffer.from('{"id":"j","set":"default"}'),
  Buffer.from('{"__proto__":{"state":"active"},"generation":-1,"relay":{}}'),
  Buffer.from('{"state":"asleep","at":"never"}'),
  Buffer.from(`{"calls":1e999,"at":"2020-01-01T00:00:00Z"}`),
  Buffer.from('['.repeat(50_000)),
  Buffer.of(0xff, 0xfe, 0x00, 0x80),
];
/** Tails of keys that are none of ours, and some that are. */
const tails = [
  '',
  '/',
  '//',
  'default',
  'default/j',
  'DEFAULT/J',
  'default/j/k',
  '%',
  '%zz',
  'a b',
  '\u{1F4DE}',
  'x'.repeat(3000),
];

test('junk in etcd is logged and skipped: nothing crashes, and calls go on', async (t) => {
  const scene = await replicaScene(t);
  const { client, keys, selection, relays, lines, etcd } = scene;
  const begunMs = performance.now();
  const prefixes = [keys.relays, keys.load, keys.intents, keys.calls, keys.moves, keys.instances];
  for (const value of values) {
    for (const prefix of prefixes) {
      for (const tail of tails) {
        await client.kv.put({ key: Buffer.from(prefix + tail), value });
      }
    }
  }

  // Good things that come after it are heard: the watches go on.
  await putRelay(client, keys, aRelay({ id: 'r9', set: 'late' }));
  const heard = async () => (await listRelays(relays, 'late')).relays.length === 1;
  await eventually(heard, 'relay that came after the junk');
  const listed = await listRelays(relays);
  t.deepEqual(
    listed.relays.map(({ id }) => id),
    ['r1', 'r2', 'r3', 'r9'],
  );
  t.true(listed.fresh);

  const warned = lines.filter(({ msg }) => msg === 'junk in etcd; skipped');
  for (const prefix of [keys.relays, keys.load, keys.intents, keys.moves]) {
    t.true(
      warned.some(({ key }) => String(key).startsWith(prefix)),
      `${prefix}: ${lines.length} lines`,
    );
  }
  // One a second for each prefix that is watched, with a line at each end.
  const most = 5 * ((performance.now() - begunMs) / 1000 + 2);
  t.true(warned.length <= most, `${warned.length} lines for ${values.length * tails.length * 4} values`);

  // A call whose key holds junk is bound as if the key were empty.
  const junkKey = 'junk-call/default';
  await client.kv.put({ key: Buffer.from(keys.calls + junkKey), value: Buffer.from('not json') });
  const refused = await failure(lookup(selection, 'junk-call'));
  t.is(refused.code, status.NOT_FOUND);
  t.is((await select(selection, { callId: 'junk-call' })).origin, Origin.NEW);
  t.is((await select(selection, { callId: 'clean-call' })).origin, Origin.NEW);
  t.true(lines.some(({ msg, key }) => msg === 'junk in etcd; skipped' && key === keys.calls + junkKey));
  const bound: string[] = [];
  for (const { id } of listed.relays.slice(0, 3)) {
    for await (const { callId } of relays.listBindings({ set: '', relayId: id })) {
      bound.push(callId);
    }
  }
  t.deepEqual(bound.sort(), ['clean-call', 'junk-call']);

  // A replica that starts among junk is ready like any other.
  const second = await openReplica(t, etcd.endpoint, keys);
  await second.ready;
  t.is((await select(second.selection, { callId: 'clean-call' })).origin, Origin.EXISTING);
  t.deepEqual(
    lines.filter(({ level }) => Number(level) >= 50),
    [],
    'no error',
  );
});

test('a registration that turns into junk is a relay that left', async (t) => {
  const { client, keys, selection, relays } = await replicaScene(t, [{ id: 'r1' }, { id: 'r2' }]);
  const { binding } = await select(selection, { callId: 'call' });
  const id = String(binding?.relay?.id);
  await client.kv.put({ key: keys.relay('default', id), value: Buffer.from('not json') });
  await eventually(async () => (await listRelays(relays)).relays.length === 1, 'leave');
  const moved = await select(selection, { callId: 'call' });
  t.is(moved.binding?.generation, 2n);
  t.not(moved.binding?.relay?.id, id);
});

/** What etcd may hold that is larger or further than anything that Holdfast writes. */
const extremes = [
  ['load', { calls: 10 ** 15, cpu: 0, packetRate: 0, at: '2020-01-01T00:00:00Z' }],
  ['load', { calls: 1, cpu: 1e300, packetRate: 1e308, at: '2020-01-01T00:00:00Z' }],
  ['load', { calls: 1, cpu: 0, packetRate: 0, at: '+275760-09-13T00:00:00Z' }],
  ['intents', { state: 'active', weight: 1e12, at: '2020-01-01T00:00:00Z' }],
  ['intents', { state: 'active', reason: 'x'.repeat(100_000), at: '2020-01-01T00:00:00Z' }],
] as const;

test('one record beyond all bounds spoils no answer about the others', async (t) => {
  const { client, keys, selection, relays } = await replicaScene(t);
  for (const [kind, value] of extremes) {
    await client.kv.put({
      key: Buffer.from(`${keys[kind]}default/r1`),
      value: Buffer.from(JSON.stringify(value)),
    });
    await putRelay(client, keys, aRelay({ id: 'r4', version: JSON.stringify(value).slice(0, 200) }));
    await eventually(
      async () => (await listRelays(relays)).relays.some(({ version }) => version.startsWith('{')),
      'what came after it',
    );
    const listed = (await listRelays(relays)).relays;
    t.deepEqual(
      listed.map(({ id }) => id),
      ['r1', 'r2', 'r3', 'r4'],
    );
    t.is(listed[0]?.load, undefined);
    await putRelay(client, keys, aRelay({ id: 'r4' }));
  }
  // A generation that no call can have reached is no binding.
  const { binding } = await select(selection, { callId: 'template' });
  const [kv] = (await client.kv.range({ key: Buffer.from(`${keys.calls}template/default`) })).kvs;
  for (const generation of [2 ** 53 - 1, 2 ** 53, 1e300, 10 ** 12, 0, -1, 1.5]) {
    const value = JSON.stringify({ ...JSON.parse(String(kv?.value)), generation });
    const callId = `generation-${generation}`.replace('+', '');
    await client.kv.put({ key: Buffer.from(`${keys.calls}${callId}/default`), value: Buffer.from(value) });
    t.is((await failure(lookup(selection, callId))).code, status.NOT_FOUND);
    t.is((await select(selection, { callId })).binding?.generation, 1n);
  }
  t.is((await lookup(selection, 'template')).binding?.generation, binding?.generation);
});

test('large values below a prefix delay nobody: replicas start, and the calls beside them are answered', async (t) => {
  const { client, keys, etcd, selection, relays } = await replicaScene(t);
  await select(selection, { callId: 'before' });
  const large = Buffer.alloc(1024 * 1024, 'x');
  for (let i = 0; i < 90; i++) {
    await client.kv.put({ key: Buffer.from(`${keys.relays}default/junk-${i}`), value: large });
  }
  for (let i = 0; i < 30; i++) {
    await client.kv.put({ key: Buffer.from(`${keys.calls}poisoned/set-${i}`), value: large });
  }
  const second = await openReplica(t, etcd.endpoint, keys);
  await second.ready;
  t.is((await listRelays(second.relays)).relays.length, 3);
  // These reads share a commit: one of them is too large to be answered.
  const [poisoned, ...others] = await Promise.all([
    failure(lookup(second.selection, 'poisoned')),
    ...Array.from({ length: 20 }, (_, i) => select(second.selection, { callId: `beside-${i}` })),
    select(second.selection, { callId: 'before' }),
  ]);
  t.is(poisoned?.code, status.UNAVAILABLE);
  t.is(others.length, 21);
  const bound: string[] = [];
  for (const { id } of (await listRelays(relays)).relays) {
    for await (const { callId } of second.relays.listBindings({ set: '', relayId: id })) {
      bound.push(callId);
    }
  }
  t.is(bound.length, 21);
});
