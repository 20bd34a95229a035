import test, { type ExecutionContext } from 'ava';
import { parseCall } from '../../../services/domain/call.js';
import { behaviors, connect, startEmbeddedEtcd } from '../../support/etcd.js';
import {
  aRelay,
  ask,
  deleteRelay,
  errorOf,
  eventually,
  newKeyspace,
  putRelay,
  startSelector,
  where,
} from '../../support/registry.js';
import { TcpProxy } from '../../support/tcp-proxy.js';
import { aMove } from './scene.js';

const behavior = behaviors();
const calls = (count: number) => Array.from({ length: count }, (_, i) => `call-${i}`);

behavior('news that does not come binds no call to a relay that is gone', async (t, client, { endpoint }) => {
  const keys = newKeyspace();
  for (const id of ['r1', 'r2', 'r3']) {
    await putRelay(client, keys, aRelay({ id }));
  }
  const proxy = await TcpProxy.start(t, endpoint);
  const behind = await startSelector(t, endpoint, { keys, watchEndpoint: proxy.endpoint });
  const bound = await behind.selector.select(ask('bound', { constraints: { target: 'r3' } }));
  t.is(bound.binding.relayId, 'r3');
  proxy.freeze();
  await deleteRelay(client, keys, aRelay({ id: 'r1' }));
  await putRelay(client, keys, aRelay({ id: 'r2', instance: 'next-life' }));
  t.is(behind.directory.get('default', 'r1')?.relay.instance, 'life-of-r1', 'it has not heard');
  const answers = await Promise.all(calls(50).map((id) => behind.selector.select(ask(id))));
  const places = new Set(answers.map(where));
  t.deepEqual([...places].sort(), ['r2/next-life/1', 'r3/life-of-r3/1']);
  t.true(behind.selector.counters.guardFailures > 0);
});

behavior('news that does not come moves no call to a relay that is gone', async (t, client, { endpoint }) => {
  const keys = newKeyspace();
  for (const id of ['r1', 'r2']) {
    await putRelay(client, keys, aRelay({ id }));
  }
  const proxy = await TcpProxy.start(t, endpoint);
  const behind = await startSelector(t, endpoint, { keys, watchEndpoint: proxy.endpoint });
  const call = parseCall('bound');
  await behind.selector.select(ask(call, { constraints: { target: 'r1' } }));
  proxy.freeze();
  await deleteRelay(client, keys, aRelay({ id: 'r2' }));
  const move = aMove({ call, constraints: { target: 'r2' } });
  t.is(await errorOf(behind.selector.move(move)), 'no-relay');
  t.is((await behind.selector.lookup(call))?.binding.relayId, 'r1');
});

behavior('a relay that came back unheard keeps its calls', async (t, client, { endpoint }) => {
  const keys = newKeyspace();
  for (const id of ['r1', 'r2']) {
    await putRelay(client, keys, aRelay({ id }));
  }
  const proxy = await TcpProxy.start(t, endpoint);
  const behind = await startSelector(t, endpoint, { keys, watchEndpoint: proxy.endpoint });
  const first = await behind.selector.select(ask('kept', { constraints: { target: 'r1' } }));
  await deleteRelay(client, keys, aRelay({ id: 'r1' }));
  await eventually(() => !behind.directory.get('default', 'r1'), 'news of the end');
  proxy.freeze();
  await putRelay(client, keys, aRelay({ id: 'r1' }));
  t.is(where(await behind.selector.select(ask('kept'))), where(first));
  t.is(behind.selector.counters.moved, 0);
});

behavior(
  'a move during a gap of the watch is not answered away by the cache',
  async (t, client, { endpoint }) => {
    const keys = newKeyspace();
    for (const id of ['r1', 'r2']) {
      await putRelay(client, keys, aRelay({ id }));
    }
    const proxy = await TcpProxy.start(t, endpoint);
    const cut = await startSelector(t, endpoint, { keys, watchEndpoint: proxy.endpoint });
    const other = await startSelector(t, endpoint, { keys });
    for (let round = 0; round < 3; round++) {
      const call = parseCall(`gap-${round}`);
      await cut.selector.select(ask(call));
      proxy.cut();
      await eventually(() => !cut.moves.live && !cut.directory.live, 'the cut to be noticed');
      const moved = await other.selector.move(aMove({ call }));
      if (round === 1) {
        t.is(where(await cut.selector.select(ask(call))), where(moved), 'during the gap');
      }
      proxy.restore();
      await eventually(() => cut.moves.live && cut.directory.live, 'the end of the gap');
      t.is(where(await cut.selector.select(ask(call))), where(moved), 'after the gap');
    }
  },
);

behavior('nor is one whose news is past by the end of the gap', async (t, client, { endpoint }) => {
  const keys = newKeyspace();
  for (const id of ['r1', 'r2']) {
    await putRelay(client, keys, aRelay({ id }));
  }
  const proxy = await TcpProxy.start(t, endpoint);
  const cut = await startSelector(t, endpoint, { keys, watchEndpoint: proxy.endpoint });
  const other = await startSelector(t, endpoint, { keys });
  const [before, during] = [parseCall('read-before'), parseCall('read-during')];
  for (const call of [before, during]) {
    await cut.selector.select(ask(call));
  }
  proxy.cut();
  await eventually(() => !cut.moves.live && !cut.directory.live, 'the cut to be noticed');
  t.is((await cut.selector.lookup(during))?.binding.generation, 1);
  for (const call of [before, during]) {
    await other.selector.move(aMove({ call }));
    await client.kv.deleteRange({ key: keys.move(call) });
  }
  proxy.restore();
  await eventually(() => cut.moves.live && cut.directory.live, 'the end of the gap');
  for (const call of [before, during]) {
    t.is((await cut.selector.lookup(call))?.binding.generation, 2, call.callId);
  }
});

behavior(
  'a move is heard by all replicas, long before they would ask again',
  async (t, client, { endpoint }) => {
    const keys = newKeyspace();
    for (const id of ['r1', 'r2']) {
      await putRelay(client, keys, aRelay({ id }));
    }
    const settings = { lingerSeconds: 600 };
    const mover = await startSelector(t, endpoint, { keys, settings });
    const hearer = await startSelector(t, endpoint, { keys, settings });
    const call = parseCall('heard');
    const request = ask(call, { ttlSeconds: 600 });
    await hearer.selector.select(request);
    const read = hearer.commits.counters.operations;
    t.is((await hearer.selector.select(request)).freshness, 'fresh');
    t.is(hearer.commits.counters.operations, read, 'it answers from memory');
    const moved = await mover.selector.move(aMove({ call }));
    await eventually(
      async () => where(await hearer.selector.select(request)) === where(moved),
      'the moved binding',
    );
    t.pass();
  },
);

behavior('a call whose relay’s registration became junk is moved', async (t, client, { endpoint }) => {
  const keys = newKeyspace();
  for (const id of ['r1', 'r2']) {
    await putRelay(client, keys, aRelay({ id }));
  }
  const { selector, directory } = await startSelector(t, endpoint, { keys });
  await selector.select(ask('junked', { constraints: { target: 'r1' } }));
  await client.kv.put({ key: keys.relay('default', 'r1'), value: Buffer.from('{') });
  await eventually(() => !directory.get('default', 'r1'), 'news of the junk');
  t.is(where(await selector.select(ask('junked'))), 'r2/life-of-r2/2');
});

test('what was last known of a call is no answer when its relay is known to be gone', async (t) => {
  const etcd = await startEmbeddedEtcd(t);
  const client = connect(t, etcd.endpoint);
  const keys = newKeyspace();
  for (const id of ['r1', 'r2']) {
    await putRelay(client, keys, aRelay({ id }));
  }
  const proxy = await TcpProxy.start(t, etcd.endpoint);
  const { selector, directory } = await startSelector(t, proxy.endpoint, {
    keys,
    timeoutMs: 2000,
    watchEndpoint: etcd.endpoint,
  });
  for (const target of ['r1', 'r2']) {
    await selector.select(ask(`on-${target}`, { constraints: { target } }));
  }
  proxy.cut();
  await deleteRelay(client, keys, aRelay({ id: 'r1' }));
  await eventually(() => !directory.get('default', 'r1'), 'news of the end');
  t.is(where(await selector.select(ask('on-r1'))), 'r2/life-of-r2/0', 'promised another, not bound');
  t.is((await selector.select(ask('on-r2'))).freshness, 'stale');
  proxy.restore();
  await eventually(async () => (await selector.select(ask('on-r1'))).freshness === 'fresh', 'etcd');
  t.is(where(await selector.select(ask('on-r1'))), 'r2/life-of-r2/2', 'moved to where it was promised');
});

behavior('one request’s wishes do not refuse another’s call', async (t, client, { endpoint }) => {
  const keys = newKeyspace();
  for (const id of ['r1', 'r2']) {
    await putRelay(client, keys, aRelay({ id }));
  }
  const { selector } = await startSelector(t, endpoint, { keys });
  const nobody = { constraints: { excluded: ['r1', 'r2'] } };
  const outcomes = await Promise.all([
    errorOf(selector.select(ask('joined', nobody))),
    errorOf(selector.select(ask('joined', nobody))),
    errorOf(selector.select(ask('joined'))),
    errorOf(selector.select(ask(parseCall('joined', '', 'elsewhere')))),
  ]);
  t.deepEqual(outcomes.slice(0, 2), ['no-relay', 'no-relay']);
  t.is(outcomes[2], 'no error');
});

behavior('a re-INVITE that races the BYE does not undo it', async (t, client, { endpoint }) => {
  const keys = newKeyspace();
  await putRelay(client, keys, aRelay());
  const [a, b] = await twoReplicas(t, endpoint, keys);
  const ids = calls(100);
  await Promise.all(ids.map((id) => a.selector.select(ask(id))));
  // Each later use raises the TTL, so it writes, as does the release.
  await Promise.all(
    ids.flatMap((id, i) => {
      const use = () => b.selector.select(ask(id, { inDialog: true }));
      const end = () => a.selector.release(parseCall(id));
      return i % 2 ? [use(), end(), use()] : [end(), use(), use()];
    }),
  );
  for (const id of ids) {
    const { kvs } = await client.kv.range({ key: keys.call(parseCall(id)) });
    t.is(JSON.parse(String(kvs[0]?.value)).state, 'released', id);
    const { TTL } = await client.leaseClient.leaseTimeToLive({ ID: kvs[0]?.lease ?? '0' });
    t.true(Number(TTL) > 20 && Number(TTL) <= 36, `a linger of 30 s, not ${TTL}`);
  }
});

async function twoReplicas(t: ExecutionContext, endpoint: string, keys: ReturnType<typeof newKeyspace>) {
  return await Promise.all([startSelector(t, endpoint, { keys }), startSelector(t, endpoint, { keys })]);
}
