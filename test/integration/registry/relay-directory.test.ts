import type { ExecutionContext } from 'ava';
import type { Etcd3 } from 'etcd3';
import type { Intent, Load } from '../../../services/domain/relay.js';
import { endOfPrefix } from '../../../services/etcd/range.js';
import { loadCodec } from '../../../services/registry/codecs/load.js';
import { IntentStore } from '../../../services/registry/intent-store.js';
import { RelayDirectory } from '../../../services/registry/relay-directory.js';
import { ManualClock } from '../../support/clock.js';
import { behaviors, connect, leaderOf, startRealEtcdCluster } from '../../support/etcd.js';
import { aRelay, deleteRelay, eventually, putRelay, registryDeps } from '../../support/registry.js';
import { testWith } from '../../support/requirement.js';
import { TcpProxy } from '../../support/tcp-proxy.js';

const behavior = behaviors();
const draining: Intent = { state: 'draining', weight: 7, reason: 'kernel update', actor: 'jo', atMs: 1000 };
const load = (calls: number): Load => ({ calls, cpu: 0.5, packetRate: 100, atMs: 2000 });

function open(t: ExecutionContext, endpoint: string, timeoutMs = 10_000) {
  const parts = registryDeps(t, endpoint, { timeoutMs });
  const clock = new ManualClock();
  const directory = new RelayDirectory({
    ...parts,
    massLossPercent: 15,
    clock: { ...parts.clock, monotonicMs: () => clock.monotonicMs() },
  });
  t.teardown(() => directory.stop());
  const changes: string[] = [];
  const unsubscribe = directory.subscribe(({ type, relay: { relay, intent, load: report } }) => {
    const { set, id } = relay;
    changes.push(`${type} ${set}/${id} ${intent?.state ?? '-'} ${report?.calls ?? '-'}`);
  });
  const intents = new IntentStore(parts.connection, parts.keys);
  return { ...parts, clock, directory, changes, unsubscribe, intents };
}

const putLoad = (client: Etcd3, key: Buffer, calls: number) =>
  client.kv.put({ key, value: loadCodec.encode(load(calls)) });

behavior('what is known at the start is complete before it begins', async (t, client, { endpoint }) => {
  const { directory, keys, intents, changes, clock } = open(t, endpoint);
  const relay = aRelay();
  const revision = await putRelay(client, keys, relay);
  await intents.update('default', 'r1', () => draining);
  await putLoad(client, keys.loadOf('default', 'r1'), 5);
  await putRelay(client, keys, aRelay({ id: 'r1', set: 'other' }));
  await directory.start();
  t.deepEqual(directory.get('default', 'r1'), {
    relay,
    revision,
    lease: '0',
    intent: draining,
    load: load(5),
    loadHeardAtMs: clock.monotonicMs(),
  });
  t.like(directory.get('other', 'r1'), { intent: undefined, load: undefined, loadHeardAtMs: undefined });
  t.is(directory.get('default', 'r2'), undefined);
  t.deepEqual(
    changes,
    ['joined default/r1 draining 5', 'joined other/r1 - -'],
    'none looks idle or active at first',
  );
});

behavior('each change is told with all that is known by then', async (t, client, { endpoint }) => {
  const { directory, keys, intents, changes, clock, unsubscribe } = open(t, endpoint);
  await directory.start();
  await eventually(() => directory.live, 'live directory');
  const told = (count: number) => eventually(() => changes.length === count, `${count} changes`);
  await putRelay(client, keys, aRelay());
  await told(1);
  await intents.update('default', 'r1', () => draining);
  await told(2);
  clock.advance(500);
  await putLoad(client, keys.loadOf('default', 'r1'), 5);
  await told(3);
  t.is(directory.get('default', 'r1')?.loadHeardAtMs, clock.monotonicMs());
  await intents.update('default', 'r1', () => undefined);
  await told(4);
  const revision = await putRelay(client, keys, aRelay({ state: 'draining' }));
  await told(5);
  t.like(directory.get('default', 'r1'), { revision, relay: { state: 'draining' } });
  await deleteRelay(client, keys, aRelay());
  await told(6);
  t.deepEqual(changes, [
    'joined default/r1 - -',
    'changed default/r1 draining -',
    'changed default/r1 draining 5',
    'changed default/r1 - 5',
    'changed default/r1 - 5',
    'left default/r1 - 5',
  ]);
  t.is(directory.get('default', 'r1'), undefined);
  unsubscribe();
  await putRelay(client, keys, aRelay());
  await eventually(() => directory.get('default', 'r1') !== undefined, 'relay');
  t.is(changes.length, 6);
});

behavior(
  'a relay exists by its registration alone, and finds its intent when it joins',
  async (t, client, { endpoint }) => {
    const { directory, keys, intents, changes } = open(t, endpoint);
    await directory.start();
    await eventually(() => directory.live, 'live directory');
    await intents.update('default', 'r1', () => draining);
    await putLoad(client, keys.loadOf('default', 'r1'), 5);
    await putRelay(client, keys, aRelay({ id: 'r2' }));
    await eventually(() => changes.length === 1, 'first relay');
    t.deepEqual(
      directory.list().map(({ relay }) => relay.id),
      ['r2'],
    );
    await putRelay(client, keys, aRelay());
    await eventually(
      () => directory.get('default', 'r1')?.intent?.state === 'draining',
      'relay with its intent',
    );
    await deleteRelay(client, keys, aRelay());
    await eventually(() => directory.get('default', 'r1') === undefined, 'end of the relay');
    await putRelay(client, keys, aRelay());
    await eventually(
      () => directory.get('default', 'r1')?.intent?.state === 'draining',
      'the intent to outlive it',
    );
  },
);

behavior('junk is no relay, no intent and no load', async (t, client, { endpoint }) => {
  const { directory, keys } = open(t, endpoint);
  await putRelay(client, keys, aRelay());
  for (const key of [
    keys.relay('default', 'r2'),
    keys.intent('default', 'r1'),
    keys.loadOf('default', 'r1'),
    Buffer.from(`${keys.relays}nonsense`),
    Buffer.from(`${keys.relays}a/b/c`),
  ]) {
    await client.kv.put({ key, value: Buffer.from('{"state":') });
  }
  await client.kv.put({
    key: keys.relay('default', 'r3'),
    value: Buffer.from(JSON.stringify(aRelay({ id: 'r1' }))),
  });
  await directory.start();
  t.deepEqual(
    directory.list().map(({ relay }) => relay.id),
    ['r1'],
  );
  t.like(directory.get('default', 'r1'), { intent: undefined, load: undefined });
});

behavior(
  'a load report beyond all limits is left out: the relay stays, and so do the others',
  async (t, client, { endpoint }) => {
    const { directory, keys } = open(t, endpoint);
    for (const id of ['r1', 'r2']) {
      await putRelay(client, keys, aRelay({ id }));
    }
    await putLoad(client, keys.loadOf('default', 'r2'), 2);
    const excessive = '{"calls":1000000000000000,"cpu":0,"packetRate":0,"at":"2026-01-01T00:00:00Z"}';
    await client.kv.put({ key: keys.loadOf('default', 'r1'), value: Buffer.from(excessive) });
    await directory.start();
    const calls = () => directory.list().map(({ relay, load }) => `${relay.id}: ${load?.calls}`);
    t.deepEqual(calls(), ['r1: undefined', 'r2: 2']);
    await putLoad(client, keys.loadOf('default', 'r1'), 1);
    await eventually(() => calls()[0] === 'r1: 1', 'valid report');
  },
);

behavior('relays are listed by set and id', async (t, client, { endpoint }) => {
  const { directory, keys } = open(t, endpoint);
  for (const [set, id] of [
    ['b', 'r2'],
    ['a', 'r10'],
    ['b', 'r1'],
    ['a', 'r9'],
  ] as const) {
    await putRelay(client, keys, aRelay({ set, id }));
  }
  await directory.start();
  const names = (set?: string) => directory.list(set).map(({ relay }) => `${relay.set}/${relay.id}`);
  t.deepEqual(names(), ['a/r10', 'a/r9', 'b/r1', 'b/r2']);
  t.deepEqual(names('b'), ['b/r1', 'b/r2']);
  t.deepEqual(names('c'), []);
});

behavior(
  'a refresh shows what was registered before it, though the watch is silent',
  async (t, client, { endpoint }) => {
    const proxy = await TcpProxy.start(t, endpoint);
    const parts = registryDeps(t, endpoint, { watchEndpoint: proxy.endpoint });
    const directory = new RelayDirectory({ ...parts, massLossPercent: 15 });
    t.teardown(() => directory.stop());
    await putRelay(client, parts.keys, aRelay());
    await directory.start();
    await eventually(() => directory.live, 'live directory');
    proxy.freeze();
    await deleteRelay(client, parts.keys, aRelay());
    const revision = await putRelay(client, parts.keys, aRelay({ id: 'r2' }));
    await directory.refresh();
    t.deepEqual(
      directory.list().map((each) => [each.relay.id, each.revision]),
      [['r2', revision]],
    );
  },
);

behavior('without etcd it stays as it was, and a refresh says so', async (t, client, { endpoint }) => {
  const proxy = await TcpProxy.start(t, endpoint);
  const { directory, keys } = open(t, proxy.endpoint, 500);
  await putRelay(client, keys, aRelay());
  await directory.start();
  await eventually(() => directory.live, 'live directory');
  proxy.cut();
  await t.throwsAsync(directory.refresh(), { code: 'unavailable' });
  await eventually(() => !directory.live, 'the cut to be noticed');
  t.is(directory.list().length, 1);
});

const ten = Array.from({ length: 10 }, (_, i) => aRelay({ id: `r${i}` }));

behavior(
  'many that vanish during a cut are looked for again before it is believed',
  async (t, client, { endpoint }) => {
    const proxy = await TcpProxy.start(t, endpoint);
    const { directory, keys, changes, clock } = open(t, proxy.endpoint, 500);
    for (const relay of ten) {
      await putRelay(client, keys, relay);
    }
    await directory.start();
    await eventually(() => directory.live, 'live directory');
    proxy.cut();
    await eventually(() => !directory.live, 'the cut to be noticed');
    for (const relay of ten.slice(2)) {
      await deleteRelay(client, keys, relay);
    }
    changes.length = 0;
    proxy.restore();
    await eventually(() => directory.suspectCount === 8, 'doubt');
    t.is(directory.list().length, 10, 'their calls stay with them meanwhile');
    t.deepEqual(
      changes,
      ten.slice(2).map(({ id }) => `suspect default/${id} - -`),
    );
    t.is(directory.counters.massLosses, 1);
    // Five have lost their lease, no more, and are back; three are gone.
    for (const relay of ten.slice(2, 7)) {
      await putRelay(client, keys, relay);
    }
    await eventually(() => directory.suspectCount === 3, 'news of the five');
    clock.advance(3000);
    await eventually(() => directory.suspectCount === 0, 'the second look');
    t.deepEqual(
      directory.list().map(({ relay }) => relay.id),
      ten.slice(0, 7).map(({ id }) => id),
    );
    t.deepEqual(changes.filter((change) => change.startsWith('left')).sort(), [
      'left default/r7 - -',
      'left default/r8 - -',
      'left default/r9 - -',
    ]);

    // The cut is long past: what is heard now is so.
    await eventually(() => directory.live, 'live directory');
    clock.advance(5001);
    for (const relay of ten.slice(0, 7)) {
      await deleteRelay(client, keys, relay);
    }
    await eventually(() => directory.list().length === 0, 'news');
    t.is(directory.counters.massLosses, 1);
  },
);

behavior(
  'while etcd takes no writes many that vanish are not believed to be gone',
  async (t, client, { endpoint }) => {
    const { directory, keys, clock } = open(t, endpoint, 500);
    for (const relay of ten) {
      await putRelay(client, keys, relay);
    }
    await directory.start();
    await eventually(() => directory.live, 'live directory');
    directory.suspect('etcd was lost', true);
    for (const relay of ten) {
      await deleteRelay(client, keys, relay);
    }
    // One of ten is believed.
    await eventually(() => directory.suspectCount === 9, 'doubt');
    // For longer than until the second look.
    const untilMs = performance.now() + 4000;
    while (performance.now() < untilMs) {
      clock.advance(3000);
      await directory.refresh();
    }
    t.is(directory.suspectCount, 9);
    t.is(directory.list().length, 9, 'new calls are promised to them');

    directory.suspect('etcd was lost', false);
    for (const relay of ten.slice(1, 5)) {
      await putRelay(client, keys, relay);
    }
    clock.advance(3000);
    await eventually(() => directory.list().length === 4, 'who is back, and nobody else');
  },
);

behavior('few that vanish during a cut are believed', async (t, client, { endpoint }) => {
  const proxy = await TcpProxy.start(t, endpoint);
  const { directory, keys } = open(t, proxy.endpoint, 500);
  for (const relay of ten) {
    await putRelay(client, keys, relay);
  }
  await directory.start();
  await eventually(() => directory.live, 'live directory');
  proxy.cut();
  await eventually(() => !directory.live, 'the cut to be noticed');
  await deleteRelay(client, keys, aRelay({ id: 'r9' }));
  proxy.restore();
  await eventually(() => directory.list().length === 9, 'news');
  t.is(directory.counters.massLosses, 0);
});

testWith(['etcd'], 'relays that vanish as etcd gets another leader are looked for again', async (t) => {
  const members = await startRealEtcdCluster(t, 3);
  const endpoints = members.map(({ endpoint }) => endpoint).join(',');
  const leader = await leaderOf(t, members);
  const client = connect(t, members.find((member) => member !== leader)?.endpoint ?? '');
  const { directory, keys, clock } = open(t, endpoints, 500);
  for (const relay of ten) {
    await putRelay(client, keys, relay);
  }
  await directory.start();
  await eventually(() => directory.live, 'live directory');
  // The watch may live on, if it is with another member: it is told of the new term with the next event. Otherwise it
  // is cut, and a loss is believed only once etcd has been there for a while.
  await leader.kill();
  await eventually(
    () =>
      client.kv.deleteRange({ key: Buffer.from(keys.relays), range_end: endOfPrefix(keys.relays) }).then(
        () => true,
        () => false,
      ),
    'another leader',
  );
  await eventually(() => directory.counters.massLosses === 1, 'doubt');
  await eventually(() => {
    clock.advance(10);
    return directory.list().length === 0;
  }, 'the second look');
  t.pass();
});
