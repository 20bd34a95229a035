import type { Etcd3 } from 'etcd3';
import type { Binding } from '../../../services/domain/binding.js';
import { type Call, parseCall } from '../../../services/domain/call.js';
import type { BindingStore } from '../../../services/registry/binding-store.js';
import type { Keyspace } from '../../../services/registry/keyspace.js';
import { behaviors } from '../../support/etcd.js';
import { aRelay, deleteRelay, openStore, putRelay, registryDeps } from '../../support/registry.js';

const behavior = behaviors();

function aBinding(call: Call, overrides: Partial<Binding> = {}): Binding {
  return {
    call,
    set: 'default',
    relayId: 'r1',
    instance: 'life-of-r1',
    generation: 1,
    requestId: 'request',
    createdAtMs: Date.now(),
    ttlSeconds: 300,
    expiresAtMs: Date.now() + 450_000,
    released: false,
    ...overrides,
  };
}

const write = (
  store: BindingStore,
  binding: Binding,
  expected = 0,
  guards: readonly { set: string; id: string; revision: number }[] = [],
) => store.write({ binding, expected, guards, lifetimeSeconds: 450 });

const leaseOf = async (client: Etcd3, keys: Keyspace, call: Call) =>
  (await client.kv.range({ key: keys.call(call) })).kvs[0]?.lease ?? '0';

behavior('a write happens only if all that its writer saw still holds', async (t, client, { endpoint }) => {
  const parts = registryDeps(t, endpoint);
  const { store } = openStore(parts);
  const call = parseCall('guarded');
  const revision = await putRelay(client, parts.keys, aRelay({ id: 'r1' }));
  const target = { set: 'default', id: 'r1', revision };
  const absent = { set: 'default', id: 'r2', revision: 0 };

  const wrongTarget = await write(store, aBinding(call), 0, [{ ...target, revision: revision + 1 }]);
  t.like(wrongTarget, { written: false, guardsHeld: false, found: { revision: 0, binding: undefined } });

  const first = await write(store, aBinding(call), 0, [target, absent]);
  t.true(first.written);
  const standing = await store.read(call);
  t.deepEqual(standing.binding?.relayId, 'r1');
  if (first.written) {
    t.is(first.stored.revision, standing.revision, 'the revision that later guards name');
  }

  const again = await write(store, aBinding(call, { relayId: 'r9' }), 0, [target]);
  t.like(again, { written: false, guardsHeld: true });
  if (!again.written) {
    t.is(again.found.binding?.relayId, 'r1', 'whoever loses hears who won');
  }

  await putRelay(client, parts.keys, aRelay({ id: 'r2' }));
  const back = await write(store, aBinding(call, { generation: 2 }), standing.revision, [target, absent]);
  t.like(back, { written: false, guardsHeld: false });
  await deleteRelay(client, parts.keys, aRelay({ id: 'r2' }));
  t.true(
    (await write(store, aBinding(call, { generation: 2 }), standing.revision, [target, absent])).written,
  );
});

behavior('a move tells caches, under the revision of the move', async (t, client, { endpoint }) => {
  const parts = registryDeps(t, endpoint);
  const { store } = openStore(parts);
  const call = parseCall('moving/with%odd@id');
  const revision = await putRelay(client, parts.keys, aRelay({ id: 'r1' }));
  const guard = { set: 'default', id: 'r1', revision };
  await write(store, aBinding(call), 0, [guard]);
  t.is((await client.kv.range({ key: parts.keys.move(call) })).kvs.length, 0);
  const { revision: before } = await store.read(call);
  await write(store, aBinding(call, { generation: 2 }), before, [guard]);
  const [move] = (await client.kv.range({ key: parts.keys.move(call) })).kvs;
  t.is(Number(move?.mod_revision), (await store.read(call)).revision);
  t.like(JSON.parse(String(move?.value)), { generation: 2, relay: 'r1' });
});

behavior('junk under a call is no binding, and is written over', async (t, client, { endpoint }) => {
  const parts = registryDeps(t, endpoint);
  const { store } = openStore(parts);
  for (const [i, junk] of ['', '{', 'null', '[]', '{"relay":7}', '\u0000\u00ff'].entries()) {
    const call = parseCall(`junk-${i}`);
    await client.kv.put({ key: parts.keys.call(call), value: Buffer.from(junk, 'latin1') });
    const found = await store.read(call);
    t.is(found.binding, undefined);
    t.true((await write(store, aBinding(call), found.revision)).written);
  }
});

behavior('a bucket lease that was revoked under its writers is replaced', async (t, client, { endpoint }) => {
  const parts = registryDeps(t, endpoint);
  const { store } = openStore(parts);
  const [one, two] = [parseCall('lease-1'), parseCall('lease-2')];
  await write(store, aBinding(one));
  const lost = await leaseOf(client, parts.keys, one);
  await client.leaseClient.leaseRevoke({ ID: lost });
  t.is((await store.read(one)).revision, 0);
  const outcomes = await Promise.all([one, two].map((call) => write(store, aBinding(call))));
  t.true(outcomes.every(({ written }) => written));
  t.not(await leaseOf(client, parts.keys, one), lost);
});

behavior('many bindings share few leases, each long enough', async (t, client, { endpoint }) => {
  const parts = registryDeps(t, endpoint);
  const { store } = openStore(parts);
  const calls = Array.from({ length: 2500 }, (_, i) => parseCall(`bucket-${i}`));
  await Promise.all(calls.map((call) => write(store, aBinding(call))));
  const keysOn = new Map<string, number>();
  for (const call of calls) {
    const lease = await leaseOf(client, parts.keys, call);
    keysOn.set(lease, (keysOn.get(lease) ?? 0) + 1);
  }
  t.is(keysOn.size, 3);
  for (const [lease, count] of keysOn) {
    t.true(count <= 1000);
    t.true(Number((await client.leaseClient.leaseTimeToLive({ ID: lease })).TTL) >= 450);
  }
});

behavior('bindings are listed whole, page by page, junk left out', async (t, client, { endpoint }) => {
  const parts = registryDeps(t, endpoint);
  const { store } = openStore(parts);
  const ids = Array.from({ length: 2300 }, (_, i) => `list-${i}`);
  await Promise.all(ids.map((id) => write(store, aBinding(parseCall(id)))));
  await client.kv.put({ key: Buffer.from(`${parts.keys.calls}list-1/a/b`), value: Buffer.from('{}') });
  await client.kv.put({ key: Buffer.from(`${parts.keys.calls}%zz`), value: Buffer.from('junk') });
  const listed: string[] = [];
  for await (const { binding } of store.list()) {
    listed.push(binding.call.callId);
  }
  t.deepEqual(listed.sort(), ids.sort());
});

behavior('all bindings of a call are its own and those of its branches', async (t, _client, { endpoint }) => {
  const parts = registryDeps(t, endpoint);
  const { store } = openStore(parts);
  const mine = [parseCall('fork'), parseCall('fork', 'z9hG4bK-1'), parseCall('fork', 'z9hG4bK/2')];
  const others = [parseCall('fork-2'), parseCall('fork!'), parseCall('fork/x'), parseCall('for')];
  await Promise.all([...mine, ...others].map((call) => write(store, aBinding(call))));
  const found = await store.readAll('fork');
  t.deepEqual(found.map(({ binding }) => binding.call.key).sort(), mine.map(({ key }) => key).sort());
});
