import type { ExecutionContext } from 'ava';
import type { Etcd3, ILeaseKeepAliveResponse } from 'etcd3';
import { behaviors, Inbox } from '../../support/etcd.js';

const behavior = behaviors();
const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const notFound = /5 NOT_FOUND: etcdserver: requested lease not found/;

behavior('a lease gets an id unless it names one', async (t, { leaseClient }) => {
  const chosen = await leaseClient.leaseGrant({ TTL: 60 });
  t.true(BigInt(chosen.ID) > 0n);
  t.is(chosen.TTL, '60');
  const wanted = '9223372036854775807';
  t.is((await leaseClient.leaseGrant({ TTL: 60, ID: wanted })).ID, wanted);
  const exists = '9 FAILED_PRECONDITION: etcdserver: lease already exists';
  await t.throwsAsync(leaseClient.leaseGrant({ TTL: 60, ID: wanted }), { message: exists });
  t.is((await leaseClient.leaseGrant({ TTL: 60, ID: '-7' })).ID, '-7');
});

behavior('a TTL has a least and a largest value', async (t, { leaseClient }) => {
  for (const TTL of [1, 0, -5]) {
    t.is((await leaseClient.leaseGrant({ TTL })).TTL, '2');
  }
  const tooLarge = '11 OUT_OF_RANGE: etcdserver: too large lease TTL';
  await t.throwsAsync(leaseClient.leaseGrant({ TTL: 9_000_000_001 }), { message: tooLarge });
  t.is((await leaseClient.leaseGrant({ TTL: 9_000_000_000 })).TTL, '9000000000');
});

behavior('revoking deletes all keys in one revision', async (t, { kv, leaseClient }) => {
  const { ID } = await leaseClient.leaseGrant({ TTL: 60 });
  for (const name of ['rev/2', 'rev/1']) {
    await kv.put({ key: bytes(name), lease: ID });
  }
  const { header: before } = await kv.put({ key: bytes('rev/other') });
  const { header: after } = await leaseClient.leaseRevoke({ ID });
  t.is(Number(after.revision), Number(before.revision) + 1);
  const { kvs } = await kv.range({ key: bytes('rev/'), range_end: bytes('rev0') });
  t.deepEqual(
    kvs.map(({ key }) => key.toString()),
    ['rev/other'],
  );
  await t.throwsAsync(leaseClient.leaseRevoke({ ID }), { message: notFound });
  await t.throwsAsync(kv.put({ key: bytes('rev/1'), lease: ID }), { message: notFound });
});

behavior('a lease without keys is revoked without a revision', async (t, { kv, leaseClient }) => {
  const { header } = await kv.put({ key: bytes('none') });
  const { ID } = await leaseClient.leaseGrant({ TTL: 60 });
  t.is((await leaseClient.leaseRevoke({ ID })).header.revision, header.revision);
});

behavior('a key is attached to the lease of its last put only', async (t, { kv, leaseClient }) => {
  const first = await leaseClient.leaseGrant({ TTL: 60 });
  const second = await leaseClient.leaseGrant({ TTL: 60 });
  const key = bytes('moved');
  await kv.put({ key, lease: first.ID });
  await kv.put({ key, lease: second.ID });
  await leaseClient.leaseRevoke({ ID: first.ID });
  t.is((await kv.range({ key })).count, '1');
  await kv.put({ key });
  await leaseClient.leaseRevoke({ ID: second.ID });
  t.is((await kv.range({ key })).count, '1');
});

behavior('time to live, with and without keys', async (t, { kv, leaseClient }) => {
  const { ID } = await leaseClient.leaseGrant({ TTL: 60 });
  await kv.put({ key: bytes('ttl'), lease: ID });
  const reply = await leaseClient.leaseTimeToLive({ ID });
  t.like(reply, { ID, grantedTTL: '60', keys: [] });
  t.true(Number(reply.TTL) >= 55 && Number(reply.TTL) <= 60);
  t.deepEqual((await leaseClient.leaseTimeToLive({ ID, keys: true })).keys, [bytes('ttl')]);
  await kv.deleteRange({ key: bytes('ttl') });
  t.deepEqual((await leaseClient.leaseTimeToLive({ ID, keys: true })).keys, []);
  t.like(await leaseClient.leaseTimeToLive({ ID: 424_242 }), {
    ID: '424242',
    TTL: '-1',
    grantedTTL: '0',
    keys: [],
  });
});

behavior('all leases are listed', async (t, { leaseClient }) => {
  const { ID } = await leaseClient.leaseGrant({ TTL: 60 });
  const { leases } = await leaseClient.leaseLeases();
  t.true(leases.some((lease) => lease.ID === ID));
});

async function keepAlive(t: ExecutionContext, client: Etcd3) {
  const stream = await client.leaseClient.leaseKeepAlive();
  t.teardown(() => stream.end());
  const inbox = new Inbox<ILeaseKeepAliveResponse>(stream);
  return (ID: string | number) => {
    stream.write({ ID });
    return inbox.next();
  };
}

behavior('keep-alive answers each request; an unknown lease has TTL 0', async (t, client) => {
  const { ID } = await client.leaseClient.leaseGrant({ TTL: 30 });
  const renew = await keepAlive(t, client);
  t.like(await renew(ID), { ID, TTL: '30' });
  t.like(await renew(ID), { ID, TTL: '30' });
  t.like(await renew(99), { ID: '99', TTL: '0' });
  await client.leaseClient.leaseRevoke({ ID });
  t.like(await renew(ID), { ID, TTL: '0' });
});

behavior('an expired lease takes its keys in one revision, not before its time', async (t, client) => {
  const { kv, leaseClient } = client;
  const startedMs = performance.now();
  const { ID } = await leaseClient.leaseGrant({ TTL: 2 });
  for (const name of ['exp/b', 'exp/a']) {
    await kv.put({ key: bytes(name), lease: ID });
  }
  const watch = await client.watchClient.watch();
  t.teardown(() => watch.end());
  const inbox = new Inbox<{ events: { type: string; kv: { key: Buffer; mod_revision: string } }[] }>(watch);
  watch.write({ create_request: { key: bytes('exp/'), range_end: bytes('exp0') } });
  await inbox.next();
  const { events } = await inbox.next();
  t.true(performance.now() - startedMs >= 2000);
  t.deepEqual(
    events.map(({ type, kv: { key } }) => [type, key.toString()]),
    [
      ['Delete', 'exp/a'],
      ['Delete', 'exp/b'],
    ],
  );
  t.is(new Set(events.map((event) => event.kv.mod_revision)).size, 1);
  t.like(await leaseClient.leaseTimeToLive({ ID }), { TTL: '-1' });
});
