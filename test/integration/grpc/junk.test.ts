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

  const warned = new Set(
    lines.filter(({ msg }) => msg === 'junk in etcd; skipped').map(({ key }) => String(key)),
  );
  for (const prefix of [keys.relays, keys.load, keys.intents, keys.moves]) {
    t.true(warned.has(`${prefix}default/j`), `${prefix}: ${lines.length} lines`);
  }

  // A call whose key holds junk is bound as if the key were empty.
  const junkKey = 'junk-call/default';
  await client.kv.put({ key: Buffer.from(keys.calls + junkKey), value: Buffer.from('not json') });
  const refused = await failure(lookup(selection, 'junk-call'));
  t.is(refused.code, status.NOT_FOUND);
  t.is((await select(selection, { callId: 'junk-call' })).origin, Origin.NEW);
  t.is((await select(selection, { callId: 'clean-call' })).origin, Origin.NEW);
  t.true(
    lines.some(({ msg, key }) => /^a binding in etcd is not valid/.test(String(msg)) && key === junkKey),
  );
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
