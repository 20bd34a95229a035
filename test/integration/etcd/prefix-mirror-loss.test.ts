import test from 'ava';
import type { Etcd3 } from 'etcd3';
import { connect, startEmbeddedEtcd, startRealEtcd } from '../../support/etcd.js';
import { freeTcpPort } from '../../support/ports.js';
import { eventually, openConnection } from '../../support/registry.js';
import { testWith } from '../../support/requirement.js';
import { TcpProxy } from '../../support/tcp-proxy.js';
import { inOrder, open, put, remove, sees } from './prefix-mirror-scene.js';

test('a view waits for etcd to appear', async (t) => {
  const port = await freeTcpPort();
  const { view, prefix } = open(t, openConnection(t, `127.0.0.1:${port}`));
  const started = view.start();
  let complete = false;
  void started.then(() => {
    complete = true;
  });
  const { endpoint } = await startEmbeddedEtcd(t, { port });
  t.false(complete);
  await started;
  const client = connect(t, endpoint);
  await put(client, `${prefix}a`, '1');
  await sees(t, view, client, prefix);
});

test('a connection that went silent is noticed, and what it held back is told', async (t) => {
  const etcd = await startEmbeddedEtcd(t);
  const proxy = await TcpProxy.start(t, etcd.endpoint);
  const client = connect(t, etcd.endpoint);
  const { view, prefix } = open(t, openConnection(t, proxy.endpoint));
  await view.start();
  await eventually(() => view.live, 'live view');
  proxy.freeze();
  await put(client, `${prefix}a`, '1');
  await eventually(() => !view.live, 'the silence to be noticed', 40_000);
  t.is(view.entries.size, 0);
  proxy.restore();
  await sees(t, view, client, prefix);
  await eventually(() => view.live, 'live view');
});

test('a member that is down is left for the next, for lists and watches', async (t) => {
  const etcd = await startEmbeddedEtcd(t);
  const dead = await freeTcpPort();
  const proxy = await TcpProxy.start(t, etcd.endpoint);
  const client = connect(t, etcd.endpoint);
  const endpoints = `127.0.0.1:${dead},${proxy.endpoint},${etcd.endpoint}`;
  const { view, prefix } = open(t, openConnection(t, endpoints));
  await view.start();
  await eventually(() => view.live, 'live view');
  proxy.cut();
  await put(client, `${prefix}a`, '1');
  await sees(t, view, client, prefix);
  await eventually(() => view.live, 'live view');
});

test('an etcd that lost its data is believed', async (t) => {
  const before = await startEmbeddedEtcd(t);
  const port = Number(before.endpoint.split(':')[1]);
  const { view, told, prefix } = open(t, openConnection(t, before.endpoint));
  const client = connect(t, before.endpoint);
  for (let i = 0; i < 50; i++) {
    await put(client, `${prefix}old${i % 2}`, `${i}`);
  }
  await view.start();
  await eventually(() => view.live, 'live view');
  await before.stop();
  const after = await startEmbeddedEtcd(t, { port });
  const anew = connect(t, after.endpoint);
  await put(anew, `${prefix}old1`, '49');
  await put(anew, `${prefix}new`, '1');
  await sees(t, view, anew, prefix);
  t.deepEqual([...view.entries.keys()].sort(), ['new', 'old1']);
  t.true(told.some(({ name, value }) => name === 'old0' && value === undefined));
  await eventually(() => view.live, 'live view');
  await put(anew, `${prefix}later`, '1');
  await sees(t, view, anew, prefix);
});

test('what etcd has lost and another one wrote at the same revision is told', async (t) => {
  const before = await startEmbeddedEtcd(t);
  const port = Number(before.endpoint.split(':')[1]);
  const { view, prefix } = open(t, openConnection(t, before.endpoint));
  const putOnLease = async (client: Etcd3, value: string) => {
    const lease = client.lease(60);
    await client.kv.put({
      key: Buffer.from(`${prefix}a`),
      value: Buffer.from(value),
      lease: await lease.grant(),
    });
    lease.release();
  };
  await putOnLease(connect(t, before.endpoint), 'old');
  await view.start();
  const { revision } = view.versionOf('a');
  await before.stop();
  const after = await startEmbeddedEtcd(t, { port });
  await putOnLease(connect(t, after.endpoint), 'new');
  await eventually(() => view.entries.get('a')?.value === 'new', 'the new value');
  t.is(view.versionOf('a').revision, revision);
});

testWith(['etcd'], 'a kill of etcd in the middle of changes loses none', async (t) => {
  const etcd = await startRealEtcd(t);
  const { view, told, prefix } = open(t, openConnection(t, etcd.endpoint));
  const client = connect(t, etcd.endpoint);
  await put(client, `${prefix}goes`, '1');
  await view.start();
  await eventually(() => view.live, 'live view');
  for (let round = 0; round < 2; round++) {
    await put(client, `${prefix}before`, `${round}`);
    await etcd.kill();
    await etcd.restart();
    const again = connect(t, etcd.endpoint);
    await put(again, `${prefix}after`, `${round}`);
    await remove(again, `${prefix}goes`);
    await sees(t, view, again, prefix);
    await eventually(() => view.live, 'live view');
  }
  inOrder(t, told);
});

test('after a stop nothing is told, and stopping twice is fine', async (t) => {
  const etcd = await startEmbeddedEtcd(t);
  const client = connect(t, etcd.endpoint);
  const { view, told, prefix } = open(t, openConnection(t, etcd.endpoint));
  await view.start();
  await eventually(() => view.live, 'live view');
  await Promise.all([view.stop(), view.stop()]);
  t.false(view.live);
  await put(client, `${prefix}a`, '1');
  await client.kv.range({ key: Buffer.from(prefix) });
  t.deepEqual(told, []);
});
