import test from 'ava';
import { NgServer } from '../../../services/control/ng/server.js';
import { loadCodec } from '../../../services/registry/codecs/load.js';
import { relayCodec } from '../../../services/registry/codecs/relay.js';
import { Keyspace } from '../../../services/registry/keyspace.js';
import { connect, startEmbeddedEtcd } from '../../support/etcd.js';
import { audioSdp, newCall, ProxyClient } from '../../support/ng.js';
import { freeTcpPort } from '../../support/ports.js';
import type { Scope } from '../../support/process.js';
import { ask, errorOf, eventually, startSelector, valid, where } from '../../support/registry.js';
import { logged, logOf, startHoldfast, startRelayNode } from '../../support/stack.js';
import { TcpProxy } from '../../support/tcp-proxy.js';

const keys = new Keyspace('/holdfast/v1');

/** What etcd holds of a relay. */
async function registry(scope: Scope, endpoint: string) {
  const client = connect(scope, endpoint);
  const stored = async (key: Buffer) => (await client.kv.range({ key })).kvs[0];
  return {
    client,
    relay: async (id: string) => {
      const kv = await stored(keys.relay('default', id));
      return kv && { ...valid(relayCodec.decode(`default/${id}`, kv.value)), lease: kv.lease };
    },
    load: async (id: string) => {
      const kv = await stored(keys.loadOf('default', id));
      return kv && valid(loadCodec.decode('', kv.value));
    },
  };
}

test('a relay node registers its built-in relay with all that it was told, and reports its load', async (t) => {
  const { endpoint } = await startEmbeddedEtcd(t);
  const etcd = await registry(t, endpoint);
  const node = await startRelayNode(t, {
    id: 'r1',
    etcd: endpoint,
    env: {
      HOLDFAST_RELAY_WEIGHT: '7',
      HOLDFAST_RELAY_CAPACITY: '2',
      HOLDFAST_RELAY_ZONE: 'z1',
      HOLDFAST_RELAY_LABELS: 'codec=opus,tier=gold',
      HOLDFAST_RELAY_MEDIA: 'default=127.0.0.1,lan=127.0.0.2@192.0.2.7',
      HOLDFAST_RELAY_ADVERTISE: 'relay.example.org:2223',
      HOLDFAST_RELAY_RTPPROXY_LISTEN: '127.0.0.1:0',
    },
  });
  const relay = await etcd.relay('r1');
  t.like(relay, {
    id: 'r1',
    set: 'default',
    kind: 'builtin',
    weight: 7,
    capacity: 2,
    zone: 'z1',
    labels: { codec: 'opus', tier: 'gold' },
    mediaAddresses: { default: '127.0.0.1', lan: '192.0.2.7' },
    controlUrl: 'udp:relay.example.org:2223',
    state: 'active',
  });
  t.regex(relay?.rtpproxyUrl ?? '', /^udp:relay\.example\.org:[1-9]\d*$/);
  t.true(['ipv4', 'vf-20050322'].every((feature) => relay?.features?.includes(feature)));
  t.not(relay?.lease, '0', 'under a lease');
  await eventually(async () => (await etcd.load('r1'))?.calls === 0, 'report');

  // SIGTERM without a call: gone from etcd before the process is.
  node.process.signal('SIGTERM');
  t.deepEqual(await node.process.exited, { code: 0, signal: null });
  t.is(await etcd.relay('r1'), undefined);
  t.is(await etcd.load('r1'), undefined);
});

test('calls on the built-in relay show in its load, and hold its drain', async (t) => {
  const { endpoint } = await startEmbeddedEtcd(t);
  const etcd = await registry(t, endpoint);
  const node = await startRelayNode(t, {
    id: 'r1',
    etcd: endpoint,
    env: { HOLDFAST_RELAY_FEATURES: 'record, play' },
  });
  t.deepEqual((await etcd.relay('r1'))?.features, ['record', 'play'], 'what operators say comes first');
  const [, port] = /:(\d+)$/.exec((await etcd.relay('r1'))?.controlUrl ?? '') ?? [];
  const proxy = new ProxyClient('127.0.0.1', Number(port));
  await proxy.start();
  t.teardown(() => proxy.stop());
  const call = newCall();
  await proxy.offer(call, audioSdp({ address: '127.0.0.1', port: 50_000 }));
  await eventually(async () => (await etcd.load('r1'))?.calls === 1, 'report of the call');
  node.process.signal('SIGTERM');
  await eventually(async () => (await etcd.relay('r1'))?.state === 'draining', 'draining');
  await node.process.waitForLine(/"calls":1,.*"msg":"draining"/);
  await proxy.delete(call);
  t.deepEqual(await node.process.exited, { code: 0, signal: null });
});

test('without etcd at the start a relay node says so once, and registers when etcd is there', async (t) => {
  const port = await freeTcpPort();
  const node = await startHoldfast(t, ['relay-node', '--id', 'r1', '--control', '127.0.0.1:0'], {
    HOLDFAST_ETCD: `127.0.0.1:${port}`,
  });
  const { http } = await logged(node, 'started');
  const warnings = () => logOf(node).filter(({ level }) => level >= 40);
  await eventually(() => warnings().some(({ reason }) => String(reason).includes(`:${port}`)), 'warning');
  const ready = await fetch(`http://${http}/readyz`);
  t.is(ready.status, 503);
  t.is(await ready.text(), 'not ready: not registered in etcd\n');
  // It goes on trying, and does not fill the log with it.
  await new Promise((resolve) => setTimeout(resolve, 3000));
  const aboutEtcd = warnings().filter(({ reason }) => reason !== undefined);
  t.true(aboutEtcd.length <= 2, JSON.stringify(aboutEtcd));

  const { endpoint } = await startEmbeddedEtcd(t, { port });
  await logged(node, 'registered');
  t.truthy(await (await registry(t, endpoint)).relay('r1'));
});

test('cut off from etcd, a relay node counts itself out before etcd does; its calls are still its own afterwards', async (t) => {
  const { endpoint } = await startEmbeddedEtcd(t);
  const etcd = await registry(t, endpoint);
  const proxy = await TcpProxy.start(t, endpoint);
  const { selector } = await startSelector(t, endpoint, { keys });
  const readyz = async (http: unknown) => (await fetch(`http://${http}/readyz`)).status;
  const start = async () => {
    const node = await startRelayNode(t, { id: 'r1', etcd: proxy.endpoint });
    return { node, http: (await logged(node.process, 'started'))['http'] };
  };
  const { node, http } = await start();
  await eventually(async () => (await errorOf(selector.select(ask('kept')))) === 'no error', 'binding');
  const bound = await selector.select(ask('kept'));
  proxy.freeze();
  await eventually(async () => (await readyz(http)) === 503, 'the node counting itself out');
  t.truthy(await etcd.relay('r1'), 'etcd still counts it in');
  await eventually(async () => (await etcd.relay('r1')) === undefined, 'etcd letting go');
  await eventually(async () => (await errorOf(selector.select(ask('new')))) === 'no-relay', 'news of it');
  proxy.restore();
  await eventually(async () => (await readyz(http)) === 200, 'registration');
  await eventually(async () => (await errorOf(selector.select(ask('new')))) === 'no error', 'news of it');
  t.is(where(await selector.select(ask('kept'))), where(bound), 'the same instance: not moved');

  await node.process.kill();
  await start();
  const instance = async () => (await etcd.relay('r1'))?.instance;
  await eventually(async () => (await instance()) !== bound.binding.instance, 'another life of it');
  await eventually(
    async () => where(await selector.select(ask('kept'))) === `r1/${await instance()}/2`,
    'the move to the other life',
  );
  t.pass();
});

test('two relays of one name: the second waits, says why, and takes over when the first is gone', async (t) => {
  const { endpoint } = await startEmbeddedEtcd(t);
  const etcd = await registry(t, endpoint);
  const first = await startRelayNode(t, { id: 'twin', etcd: endpoint });
  const holder = await etcd.relay('twin');
  const second = await startHoldfast(t, ['relay-node', '--id', 'twin', '--control', '127.0.0.1:0'], {
    HOLDFAST_ETCD: endpoint,
  });
  const told = await logged(second, 'another relay node holds this registration; waiting until it is gone');
  t.like(told, { relay: 'twin', holder: 'default/twin' });
  t.regex(String(told['reason']), /another relay is registered under this set and id.*own id/);
  t.true(String(told['reason']).includes(String(holder?.controlUrl)));
  await logged(first.process, 'another relay node wants this registration; it waits until this one is gone');
  t.is((await etcd.relay('twin'))?.instance, holder?.instance);
  await first.process.stop();
  await logged(second, 'registered');
  t.not((await etcd.relay('twin'))?.instance, holder?.instance);
});

test('a relay that does not answer is not registered; one that answers nonsense is not either', async (t) => {
  const { endpoint } = await startEmbeddedEtcd(t);
  const etcd = await registry(t, endpoint);
  let replies: 'nothing' | 'nonsense' | 'sense' = 'nonsense';
  const bornMs = performance.now() - 100_000;
  const statistics = () => ({
    totalstatistics: { uptime: `${Math.floor((performance.now() - bornMs) / 1000)}` },
    currentstatistics: { sessionstotal: 4, packetrate: 50 },
  });
  const relay = new NgServer({
    listen: [{ host: '127.0.0.1', port: 0 }],
    handler: async ({ body }) => {
      if (replies === 'nothing') {
        return await new Promise<never>(() => {});
      }
      if (replies === 'nonsense') {
        return { result: 'ok' };
      }
      return body.command === 'ping'
        ? { result: 'pong' }
        : { result: 'ok', statistics: statistics(), calls: [] };
    },
  });
  await relay.start();
  t.teardown(() => relay.stop());
  const control = `127.0.0.1:${relay.addresses()[0]?.port}`;
  const node = await startHoldfast(
    t,
    ['relay-node', '--id', 'r1', '--kind', 'rtpengine', '--control', control, '--drain-deadline', '0'],
    { HOLDFAST_ETCD: endpoint },
  );
  const { http } = await logged(node, 'started');
  const silent = await logged(node, 'the relay does not answer');
  t.like(silent, { relay: 'r1', misses: 3, level: 50 });
  t.is(
    await (await fetch(`http://${http}/readyz`)).text(),
    `not ready: the relay at udp:${control} does not answer\n`,
  );
  t.is(await etcd.relay('r1'), undefined);

  replies = 'sense';
  await logged(node, 'the relay answers again');
  await logged(node, 'registered');
  await eventually(async () => (await etcd.load('r1'))?.calls === 4, 'report');
  const { instance } = (await etcd.relay('r1')) ?? {};

  replies = 'nothing';
  await eventually(async () => (await etcd.relay('r1')) === undefined, 'end of the registration', 10_000);
  replies = 'sense';
  await eventually(async () => (await etcd.relay('r1')) !== undefined, 'registration');
  t.is((await etcd.relay('r1'))?.instance, instance, 'it did not restart meanwhile');
  node.signal('SIGTERM');
  t.is((await node.exited).code, 0);
});
