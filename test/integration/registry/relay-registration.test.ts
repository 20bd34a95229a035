import test, { type ExecutionContext } from 'ava';
import type { Etcd3, IRangeResponse, IWatchResponse } from 'etcd3';
import { pino } from 'pino';
import type { Load, Relay } from '../../../services/domain/relay.js';
import { endOfPrefix } from '../../../services/etcd/range.js';
import { instanceCodec } from '../../../services/registry/codecs/instance.js';
import { loadCodec } from '../../../services/registry/codecs/load.js';
import { relayCodec } from '../../../services/registry/codecs/relay.js';
import { RelayRegistration } from '../../../services/registry/relay-registration.js';
import { behaviors, connect, Inbox, startEmbeddedEtcd, startRealEtcd } from '../../support/etcd.js';
import { aRelay, eventually, putRelay, registryDeps, startOf, valid } from '../../support/registry.js';
import { testWith } from '../../support/requirement.js';
import { TcpProxy } from '../../support/tcp-proxy.js';

const behavior = behaviors();
const load = (calls: number): Load => ({ calls, cpu: 0.5, packetRate: 100, atMs: 1_700_000_000_000 });

type Parts = ReturnType<typeof registryDeps>;

function begin(t: ExecutionContext, parts: Parts, relay: Relay): RelayRegistration {
  const registration = new RelayRegistration(parts, relay, startOf(relay));
  registration.start();
  t.teardown(() => registration.stop());
  return registration;
}

const registered = (registration: RelayRegistration) =>
  eventually(() => registration.registered, 'registration');

async function standing(client: Etcd3, { keys }: Parts, { set, id }: Relay) {
  const [kv] = (await client.kv.range({ key: keys.relay(set, id) })).kvs;
  if (!kv) {
    return undefined;
  }
  const relay = valid(relayCodec.decode(`${set}/${id}`, kv.value));
  return { relay, lease: kv.lease, revision: Number(kv.mod_revision) };
}

/** Everything that etcd tells of a prefix from now on. */
async function watching(t: ExecutionContext, client: Etcd3, prefix: string) {
  const stream = await client.watchClient.watch();
  t.teardown(() => stream.cancel());
  stream.on('error', () => {});
  const inbox = new Inbox<IWatchResponse>(stream);
  stream.write({ create_request: { key: Buffer.from(prefix), range_end: endOfPrefix(prefix) } });
  await inbox.next();
  const events: string[] = [];
  stream.on('data', (response) => {
    for (const { type, kv } of response.events) {
      events.push(`${type} ${kv.key.toString().slice(prefix.length)}`);
    }
  });
  return events;
}

/** A log, and how often it was told something. */
function logged(text: string) {
  let count = 0;
  const log = pino({}, { write: (line: string) => void (line.includes(text) && count++) });
  return { log, count: () => count };
}

const firstLoad = async (client: Etcd3, { keys }: Parts, { set, id }: Relay) => {
  const { kvs }: IRangeResponse = await client.kv.range({ key: keys.loadOf(set, id) });
  return valid(kvs[0] && loadCodec.decode('', kvs[0].value));
};

behavior(
  'a relay is registered under a lease, with its instance record beside it',
  async (t, client, etcd) => {
    const parts = registryDeps(t, etcd.endpoint);
    const relay = aRelay();
    const registration = begin(t, parts, relay);
    t.false(registration.registered);
    await registered(registration);
    const found = await standing(client, parts, relay);
    t.deepEqual(found?.relay, relay);
    const { TTL } = await client.leaseClient.leaseTimeToLive({ ID: found?.lease ?? '0' });
    t.true(Number(TTL) > 0 && Number(TTL) <= 5, `TTL ${TTL}`);
    const [record] = (await client.kv.range({ key: parts.keys.instance(relay.set, relay.id) })).kvs;
    t.is(record?.lease, '0', 'the record outlives the registration');
    t.deepEqual(record && instanceCodec.decode('', record.value), {
      instance: relay.instance,
      start: startOf(relay),
      node: parts.node,
    });
  },
);

behavior('stopping ends the registration at once', async (t, client, etcd) => {
  const parts = registryDeps(t, etcd.endpoint);
  const registration = begin(t, parts, aRelay());
  await registered(registration);
  await Promise.all([registration.stop(), registration.stop()]);
  t.is(await standing(client, parts, aRelay()), undefined);
  t.false(registration.registered);
});

behavior('stopping while it begins leaves nothing behind', async (t, client, etcd) => {
  const parts = registryDeps(t, etcd.endpoint);
  for (let i = 0; i < 5; i++) {
    const registration = begin(t, parts, aRelay({ id: `r${i}` }));
    for (let waits = 0; waits < i; waits++) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    await registration.stop();
    t.is(await standing(client, parts, aRelay({ id: `r${i}` })), undefined);
  }
});

behavior('a lost lease is replaced, and the instance stays', async (t, client, etcd) => {
  const parts = registryDeps(t, etcd.endpoint);
  const registration = begin(t, parts, aRelay());
  await registered(registration);
  await registration.report(load(3));
  const before = await standing(client, parts, aRelay());
  await client.leaseClient.leaseRevoke({ ID: before?.lease ?? '0' });
  await eventually(async () => (await standing(client, parts, aRelay())) !== undefined, 'new registration');
  const after = await standing(client, parts, aRelay());
  t.not(after?.lease, before?.lease);
  t.deepEqual(after?.relay, aRelay());
  await registered(registration);
  t.like(await firstLoad(client, parts, aRelay()), { calls: 3 }, 'the last report comes with it');
});

behavior('one that lost etcd while it registered can lose its lease later', async (t, client, etcd) => {
  const parts = registryDeps(t, etcd.endpoint);
  const { connection, keys } = parts;
  const relay = aRelay();
  const [range, grantLease] = [connection.range.bind(connection), connection.grantLease.bind(connection)];
  let [looks, granted] = [0, 0];
  connection.range = (request) => {
    const isLook = request.key?.toString() === keys.addressOf(relay.controlUrl);
    // The first look for another node is before the registration is written, the second after it.
    return isLook && ++looks === 2 ? Promise.reject(new Error('connection dropped')) : range(request);
  };
  connection.grantLease = (ttlSeconds) => {
    granted++;
    return grantLease(ttlSeconds);
  };
  const registration = begin(t, parts, relay);
  await eventually(() => looks >= 4, 'another attempt to register');
  const first = await standing(client, parts, relay);
  await client.leaseClient.leaseRevoke({ ID: first?.lease ?? '0' });
  await eventually(async () => {
    const lease = (await standing(client, parts, relay))?.lease;
    return lease !== undefined && lease !== first?.lease;
  }, 'a registration under another lease');
  await registered(registration);
  t.is(granted, 2);
});

behavior(
  'a registration that somebody deleted is written again with the next report',
  async (t, client, etcd) => {
    const parts = registryDeps(t, etcd.endpoint);
    const registration = begin(t, parts, aRelay());
    await registered(registration);
    const before = await standing(client, parts, aRelay());
    await client.kv.deleteRange({ key: parts.keys.relay('default', 'r1') });
    t.true(await registration.report(load(1)));
    const after = await standing(client, parts, aRelay());
    t.deepEqual(after?.relay, aRelay());
    t.is(after?.lease, before?.lease, 'under the same lease');
    t.true(registration.registered);
    t.like(await firstLoad(client, parts, aRelay()), { calls: 1 });
  },
);

behavior('draining is published, and the relay does not vanish for a moment', async (t, client, etcd) => {
  const parts = registryDeps(t, etcd.endpoint);
  const registration = begin(t, parts, aRelay());
  await registered(registration);
  const events = await watching(t, client, parts.keys.relays);
  // Reports come as the drain is under way, as they do in a relay node.
  await Promise.all([
    registration.report(load(1)),
    registration.drain(),
    ...Array.from({ length: 20 }, (_, i) => registration.report(load(i + 2))),
  ]);
  t.is((await standing(client, parts, aRelay()))?.relay?.state, 'draining');
  t.true(registration.registered);
  t.like(await firstLoad(client, parts, aRelay()), { calls: 21 });
  await client.kv.put({ key: Buffer.from(`${parts.keys.relays}end`), value: Buffer.from('') });
  await eventually(() => events.at(-1) === 'Put end', 'last event');
  t.deepEqual([...new Set(events)], ['Put default/r1', 'Put end']);
});

behavior('a drain that did not reach etcd is published with the next report', async (t, client, etcd) => {
  const proxy = await TcpProxy.start(t, etcd.endpoint);
  const parts = registryDeps(t, proxy.endpoint, { timeoutMs: 300 });
  const registration = begin(t, parts, aRelay());
  await registered(registration);
  const events = await watching(t, client, parts.keys.relays);
  // What was asked arrives, the answer does not: the outcome is unknown.
  proxy.freeze('answers');
  await t.throwsAsync(registration.drain());
  proxy.restore();
  await eventually(async () => await registration.report(load(1)).catch(() => false), 'report');
  t.is((await standing(client, parts, aRelay()))?.relay?.state, 'draining');
  t.false(
    events.some((event) => event.startsWith('Delete')),
    events.join(),
  );
});

behavior('a drain before the registration comes with it', async (t, client, etcd) => {
  const parts = registryDeps(t, etcd.endpoint);
  const registration = new RelayRegistration(parts, aRelay(), startOf(aRelay()));
  await registration.drain();
  t.false(await registration.report(load(1)), 'nothing to report to');
  registration.start();
  t.teardown(() => registration.stop());
  await registered(registration);
  t.is((await standing(client, parts, aRelay()))?.relay?.state, 'draining');
});

behavior('a name that a stranger holds is waited for', async (t, client, etcd) => {
  const waiting = logged('another relay is registered under this set and id');
  const parts = registryDeps(t, etcd.endpoint, { log: waiting.log });
  const stranger = aRelay({ controlUrl: 'udp:192.0.2.99:2223', instance: 'stranger' });
  await putRelay(client, parts.keys, stranger);
  const registration = begin(t, parts, aRelay());
  // Two leases later it would have been taken, if it were taken.
  await eventually(
    async () => (await parts.connection.range({ key: Buffer.from('/') })).count === '0',
    'etcd',
  );
  t.false(registration.registered);
  t.like(await standing(client, parts, stranger), { relay: { instance: 'stranger' } });
  await client.kv.deleteRange({ key: parts.keys.relay('default', 'r1') });
  await registered(registration);
  t.deepEqual((await standing(client, parts, aRelay()))?.relay, aRelay());
});

behavior('what a node that is gone has left is taken over, without a gap', async (t, client, etcd) => {
  const parts = registryDeps(t, etcd.endpoint);
  const past = aRelay({ instance: 'past' });
  const { ID } = await client.leaseClient.leaseGrant({ TTL: 60 });
  await client.kv.put({ key: parts.keys.relay('default', 'r1'), value: relayCodec.encode(past), lease: ID });
  const events = await watching(t, client, parts.keys.relays);
  const registration = begin(t, parts, aRelay());
  await registered(registration);
  t.deepEqual((await standing(client, parts, aRelay()))?.relay, aRelay());
  t.deepEqual(events, ['Put default/r1']);
  await client.leaseClient.leaseRevoke({ ID });
  t.truthy(await standing(client, parts, aRelay()));
});

/** The second node says that it waits a moment before etcd has it from it. */
const heard = (first: RelayRegistration, holds: ReturnType<typeof logged>) =>
  eventually(async () => {
    await first.report(load(1));
    return holds.count() === 1;
  }, 'the first hearing of the second');

behavior('two nodes behind one address: the second waits, and both say so', async (t, client, etcd) => {
  const [holds, wants] = [
    logged('another relay node wants this registration; it waits until this one is gone'),
    logged('another relay node holds this registration; waiting until it is gone'),
  ];
  const parts = registryDeps(t, etcd.endpoint, { log: holds.log });
  const first = begin(t, parts, aRelay({ instance: 'first' }));
  await registered(first);
  const events = await watching(t, client, parts.keys.relays);
  const second = begin(t, { ...parts, log: wants.log, node: 'another' }, aRelay({ instance: 'second' }));
  await eventually(() => wants.count() === 1, 'the second waiting');
  await heard(first, holds);
  // Once a second, so for longer than a node that is gone would be waited for.
  const attempts = await watching(t, client, parts.keys.contenders);
  await eventually(() => attempts.length >= 6, 'more attempts');
  await first.report(load(2));
  t.is(holds.count() + wants.count(), 2, 'the log has a limit');
  t.deepEqual([first.registered, second.registered, events], [true, false, []]);

  await first.stop();
  await registered(second);
  t.is((await standing(client, parts, aRelay()))?.relay?.instance, 'second');
  t.true(await second.report(load(3)));
  t.is(wants.count(), 1, 'it does not contend with itself');
});

behavior('one relay is not registered twice, under whichever names', async (t, client, etcd) => {
  const holds = logged('another relay node wants this registration');
  const wants = logged('this relay is registered already, as default/r1');
  const parts = registryDeps(t, etcd.endpoint, { log: holds.log });
  const first = begin(t, parts, aRelay());
  await registered(first);
  const twin = { ...aRelay(), id: 'r2', set: 'edge' };
  const second = begin(t, { ...parts, log: wants.log, node: 'another' }, twin);
  await eventually(() => wants.count() === 1, 'the second waiting');
  await heard(first, holds);
  t.is(await standing(client, parts, twin), undefined);
  await first.stop();
  await registered(second);
  t.deepEqual((await standing(client, parts, twin))?.relay, twin);
});

behavior('junk under its key is no relay, and written over', async (t, client, etcd) => {
  const parts = registryDeps(t, etcd.endpoint);
  await client.kv.put({ key: parts.keys.relay('default', 'r1'), value: Buffer.from('junk') });
  await registered(begin(t, parts, aRelay()));
  t.deepEqual((await standing(client, parts, aRelay()))?.relay, aRelay());
});

behavior(
  'a load report that replicas would reject is skipped, and the relay stays',
  async (t, client, etcd) => {
    const warned = logged('the load report is invalid; skipped');
    const parts = registryDeps(t, etcd.endpoint, { log: warned.log });
    const registration = begin(t, parts, aRelay());
    await registered(registration);
    t.true(await registration.report(load(1)));
    for (const calls of [1e15, -1, Number.NaN, 0.5]) {
      t.false(await registration.report(load(calls)));
    }
    t.is(warned.count(), 1, 'the log has a limit');
    t.like(await firstLoad(client, parts, aRelay()), { calls: 1 });
    t.true(registration.registered);
    t.true(await registration.report(load(2)));
  },
);

test('a registration outlives an outage that is shorter than its lease, and ends itself in one that is longer', async (t) => {
  const etcd = await startEmbeddedEtcd(t);
  const proxy = await TcpProxy.start(t, etcd.endpoint);
  const client = connect(t, etcd.endpoint);
  const parts = registryDeps(t, proxy.endpoint, { timeoutMs: 1000 });
  const registration = begin(t, parts, aRelay());
  await registered(registration);
  const before = await standing(client, parts, aRelay());
  proxy.drop();
  await eventually(async () => await registration.report(load(1)).catch(() => false), 'report');
  t.is((await standing(client, parts, aRelay()))?.revision, before?.revision, 'it is the same registration');
  proxy.cut();
  await eventually(() => !registration.registered, 'end of the registration');
  t.truthy(await standing(client, parts, aRelay()), 'it knew before etcd let go');
  await eventually(async () => !(await standing(client, parts, aRelay())), 'etcd letting go');
  proxy.restore();
  await registered(registration);
  t.deepEqual((await standing(client, parts, aRelay()))?.relay, aRelay());
});

test('a registration that its node gave up, but etcd did not, is taken over without a gap', async (t) => {
  const etcd = await startEmbeddedEtcd(t);
  const proxy = await TcpProxy.start(t, etcd.endpoint);
  const client = connect(t, etcd.endpoint);
  const parts = registryDeps(t, proxy.endpoint, { timeoutMs: 200 });
  const registration = begin(t, parts, aRelay());
  await registered(registration);
  const before = await standing(client, parts, aRelay());
  const { lease = '0' } = before ?? {};
  const events = await watching(t, client, parts.keys.relays);
  // What the node sends arrives, what it hears is nothing: it must give itself up, and etcd has no reason to.
  proxy.freeze('answers');
  await eventually(() => !registration.registered, 'end of the registration');
  const { accepted } = proxy;
  await eventually(() => proxy.accepted > accepted, 'a new attempt');
  proxy.restore();
  await registered(registration);
  await client.leaseClient.leaseRevoke({ ID: lease }).catch(() => undefined);
  t.truthy(await standing(client, parts, aRelay()), 'the old lease carries nothing any more');
  t.false(
    events.some((event) => event.startsWith('Delete')),
    events.join(),
  );
});

test('a member that went silent is left for another while the lease lives', async (t) => {
  const etcd = await startEmbeddedEtcd(t);
  const [first, second] = [await TcpProxy.start(t, etcd.endpoint), await TcpProxy.start(t, etcd.endpoint)];
  const client = connect(t, etcd.endpoint);
  const parts = registryDeps(t, `${first.endpoint},${second.endpoint}`, { timeoutMs: 500 });
  const registration = begin(t, parts, aRelay());
  await registered(registration);
  const { lease = '0', revision } = (await standing(client, parts, aRelay())) ?? {};
  const lifeLeft = async () => Number((await client.leaseClient.leaseTimeToLive({ ID: lease })).TTL);
  first.freeze();
  await eventually(async () => (await lifeLeft()) <= 3, 'a keepalive that did not arrive');
  await eventually(async () => (await lifeLeft()) >= 4, 'a keepalive over the other member');
  t.is((await standing(client, parts, aRelay()))?.revision, revision, 'it is the same registration');
  t.true(registration.registered);
});

testWith(['etcd'], 'a kill of etcd loses neither registration nor instance', async (t) => {
  const etcd = await startRealEtcd(t);
  const parts = registryDeps(t, etcd.endpoint, { timeoutMs: 1000 });
  const registration = begin(t, parts, aRelay());
  await registered(registration);
  await etcd.kill();
  await etcd.restart();
  const client = connect(t, etcd.endpoint);
  await eventually(async () => await registration.report(load(9)).catch(() => false), 'report');
  t.deepEqual((await standing(client, parts, aRelay()))?.relay, aRelay());
  t.like(await firstLoad(client, parts, aRelay()), { calls: 9 });
});
