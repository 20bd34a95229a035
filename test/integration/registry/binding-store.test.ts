import type { Etcd3 } from 'etcd3';
import type { Binding } from '../../../services/domain/binding.js';
import { type Call, parseCall } from '../../../services/domain/call.js';
import type { BindingStore, RelayGuard } from '../../../services/registry/binding-store.js';
import type { Keyspace } from '../../../services/registry/keyspace.js';
import { behaviors } from '../../support/etcd.js';
import { aBinding, aRelay, deleteRelay, openStore, putRelay, registryDeps } from '../../support/registry.js';

const behavior = behaviors();

const write = (store: BindingStore, binding: Binding, expected = 0, guards: readonly RelayGuard[] = []) =>
  store.write({ binding, expected, guards, lifetimeSeconds: 450 });

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

behavior(
  'a registration on another lease is another one, whatever its revision',
  async (t, client, { endpoint }) => {
    const parts = registryDeps(t, endpoint);
    const { store } = openStore(parts);
    const [own, other] = [client.lease(60), client.lease(60)];
    const [lease, otherLease] = await Promise.all([own.grant(), other.grant()]);
    const revision = await putRelay(client, parts.keys, aRelay({ id: 'r1' }), lease);
    const guard = { set: 'default', id: 'r1', revision };
    const refused = await write(store, aBinding(parseCall('leased')), 0, [{ ...guard, lease: otherLease }]);
    t.like(refused, { written: false, guardsHeld: false });
    t.true((await write(store, aBinding(parseCall('leased')), 0, [{ ...guard, lease }])).written);
    await Promise.all([own.revoke(), other.revoke()]);
  },
);

behavior('caches are told of a write, under its own revision', async (t, client, { endpoint }) => {
  const parts = registryDeps(t, endpoint);
  const { store } = openStore(parts);
  const call = parseCall('moving/with%odd@id');
  const revision = await putRelay(client, parts.keys, aRelay({ id: 'r1' }));
  const guard = { set: 'default', id: 'r1', revision };
  await write(store, aBinding(call), 0, [guard]);
  t.is((await client.kv.range({ key: parts.keys.move(call) })).kvs.length, 0);
  const { revision: before } = await store.read(call);
  const binding = aBinding(call, { generation: 2 });
  await store.write({ binding, expected: before, guards: [guard], outdates: true, lifetimeSeconds: 450 });
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
  await client.kv.put({ key: Buffer.from(`${parts.keys.calls}list-1/a/b/c`), value: Buffer.from('{}') });
  await client.kv.put({ key: Buffer.from(`${parts.keys.calls}%zz`), value: Buffer.from('junk') });
  const listed: string[] = [];
  for await (const { binding } of store.list()) {
    listed.push(binding.call.callId);
  }
  t.deepEqual(listed.sort(), ids.sort());
});

const inSets = (id: string, ...sets: string[]) => sets.map((set) => parseCall(id, '', set));

behavior(
  'a call is read in its own set alone, or in the only one that has it',
  async (t, _client, { endpoint }) => {
    const parts = registryDeps(t, endpoint);
    const { store } = openStore(parts);
    const [edge, core] = inSets('fork', 'edge', 'core') as [Call, Call];
    const branch = parseCall('fork', 'z9hG4bK/1', 'core');
    const others = ['fork-2', 'fork!', 'fork/edge', 'for', 'fork~'].map((id) => parseCall(id, '', 'edge'));
    const any = parseCall('fork');
    t.like(await store.read(any), {
      call: { set: 'default' },
      revision: 0,
      binding: undefined,
      hasOthers: false,
    });
    await Promise.all([edge, branch, ...others].map((call) => write(store, aBinding(call))));
    const found = await store.read(any);
    t.deepEqual(found.binding?.call, edge);
    t.is(found.revision, (await store.read(edge)).revision);
    t.deepEqual((await store.read(parseCall('fork', 'z9hG4bK/1'))).binding?.call, branch);
    t.like(await store.read(core), { revision: 0, binding: undefined });
    await write(store, aBinding(core));
    t.like(await store.read(any), {
      call: { set: 'default' },
      revision: 0,
      binding: undefined,
      hasOthers: true,
    });
    const [own] = inSets('fork', 'default') as [Call];
    await write(store, aBinding(own));
    t.deepEqual((await store.read(any)).binding?.call, own);
    t.deepEqual((await store.read(edge)).binding?.call, edge);
  },
);

behavior('a write that wants to be alone finds the call that another set has', async (t, _, { endpoint }) => {
  const parts = registryDeps(t, endpoint);
  const { store } = openStore(parts);
  const [edge, own] = inSets('lonely', 'edge', 'default') as [Call, Call];
  const alone = (binding: Binding) =>
    store.write({ binding, expected: 0, guards: [], alone: true, lifetimeSeconds: 450 });
  await write(store, aBinding(parseCall('lonely!', '', 'edge')));
  t.true((await alone(aBinding(edge))).written, 'another Call-ID is no company');
  const refused = await alone(aBinding(own));
  t.like(refused, { written: false, guardsHeld: true });
  if (!refused.written) {
    t.deepEqual(refused.found.binding?.call, edge, 'whoever loses hears who won');
  }
  const racing = await Promise.all(
    Array.from({ length: 20 }, (_, i) =>
      alone(aBinding(parseCall('race', '', `set-${i % 4}`), { requestId: `${i}` })),
    ),
  );
  t.is(racing.filter(({ written }) => written).length, 1, 'in one commit or in several');
  t.true((await write(store, aBinding(own))).written);
});

behavior('any Call-ID is written, read and listed as it came', async (t, client, { endpoint }) => {
  const parts = registryDeps(t, endpoint);
  const { store } = openStore(parts);
  const ids = ['a b', 'é', '%', '~', 'x'.repeat(16_384), Buffer.of(0, 255), Buffer.alloc(16_384, 0xff)];
  for (const id of ids) {
    const call = parseCall(id, 'z9hG4bK~1', 'edge');
    const binding = aBinding(call, { moves: [{ atMs: 0, from: 'r2', reason: 'é', by: 'x' }] });
    t.true((await write(store, binding)).written);
    t.deepEqual((await store.read(call)).binding, binding);
    t.deepEqual((await store.read(parseCall(id, 'z9hG4bK~1'))).binding, binding);
  }
  // Junk with a Call-ID beyond all bounds spoils nothing.
  const [long] = inSets('y'.repeat(16_384), 'edge') as [Call];
  const junk = JSON.stringify({ callId: 'y'.repeat(100_000) });
  await client.kv.put({ key: parts.keys.call(long), value: Buffer.from(junk) });
  t.is((await store.read(long)).binding, undefined);
  let listed = 0;
  for await (const { binding } of store.list()) {
    t.is(binding.call.branch, 'z9hG4bK~1');
    listed++;
  }
  t.is(listed, ids.length);
});
