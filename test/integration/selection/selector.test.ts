import test from 'ava';
import { remainingSeconds } from '../../../services/domain/binding.js';
import { parseCall } from '../../../services/domain/call.js';
import type { Answer } from '../../../services/selection/requests.js';
import { ShiftedClock } from '../../support/clock.js';
import { behaviors, connect, startEmbeddedEtcd } from '../../support/etcd.js';
import {
  aRelay,
  ask,
  codeOf,
  deleteRelay,
  errorOf,
  eventually,
  newKeyspace,
  putRelay,
  startSelector,
  where,
} from '../../support/registry.js';
import { TcpProxy } from '../../support/tcp-proxy.js';
import { aMove, known, scene } from './scene.js';

const behavior = behaviors();

behavior(
  'concurrent requests for one call, at three replicas, end in one binding',
  async (t, client, etcd) => {
    const { selectors } = await scene(t, client, etcd, { replicas: 3 });
    for (let round = 0; round < 20; round++) {
      const answers = await Promise.all(
        selectors.flatMap(({ selector }) => [1, 2, 3].map(() => selector.select(ask(`call-${round}`)))),
      );
      t.is(new Set(answers.map(where)).size, 1);
      t.is(answers.filter(({ origin }) => origin === 'new').length, 1);
    }
  },
);

behavior('joins, weights, drains and new replicas move nothing', async (t, client, etcd) => {
  const { a, keys, registered } = await scene(t, client, etcd, { replicas: 1 });
  const ids = Array.from({ length: 200 }, (_, i) => `sticky-${i}`);
  const before = await Promise.all(ids.map((id) => a.selector.select(ask(id))));
  await putRelay(client, keys, aRelay({ id: 'r4' }));
  await putRelay(client, keys, { ...aRelay({ id: 'r1' }), weight: 1000 });
  await putRelay(client, keys, { ...aRelay({ id: 'r2' }), state: 'draining' });
  const fresh = await startSelector(t, etcd.endpoint, { keys });
  await known([a, fresh], 'r4', 'life-of-r4');
  for (const { selector } of [a, fresh]) {
    const after = await Promise.all(ids.map((id) => selector.select(ask(id))));
    t.deepEqual(after.map(where), before.map(where));
    t.true(after.every(({ origin, freshness }) => origin === 'existing' && freshness === 'fresh'));
  }
  t.is(registered.length, 3);
});

behavior('a call moves once when its relay is gone, and all replicas agree', async (t, client, etcd) => {
  const { a, b, keys, registered } = await scene(t, client, etcd);
  const ids = Array.from({ length: 100 }, (_, i) => `orphan-${i}`);
  const before = await Promise.all(ids.map((id) => a.selector.select(ask(id))));
  await Promise.all(ids.map((id) => b.selector.select(ask(id))));
  const [gone] = registered;
  if (gone) {
    await deleteRelay(client, keys, gone);
  }
  await known([a, b], 'r1', undefined);
  const after = await Promise.all(ids.map((id, i) => (i % 2 ? a : b).selector.select(ask(id))));
  const crosswise = await Promise.all(ids.map((id, i) => (i % 2 ? b : a).selector.select(ask(id))));
  t.deepEqual(crosswise.map(where), after.map(where));
  for (const [i, answer] of after.entries()) {
    const was = before[i]?.binding;
    const { relayId, generation } = answer.binding;
    if (was?.relayId === 'r1') {
      t.deepEqual([relayId !== 'r1', generation, answer.origin], [true, 2, 'moved']);
    } else {
      t.is(where(answer), where(before[i] as Answer));
    }
  }
});

behavior('a relay that restarted with a new instance has lost its calls', async (t, client, etcd) => {
  const { a, b, keys } = await scene(t, client, etcd, { relays: 1 });
  const first = await a.selector.select(ask('restart'));
  await putRelay(client, keys, aRelay({ id: 'r1', instance: 'second-life' }));
  await known([a, b], 'r1', 'second-life');
  const second = await b.selector.select(ask('restart'));
  t.is(where(first), 'r1/life-of-r1/1');
  t.is(where(second), 'r1/second-life/2');
  t.is(where(await a.selector.select(ask('restart'))), where(second));
});

behavior('the same instance back under a new registration keeps its calls', async (t, client, etcd) => {
  const { a, keys, registered } = await scene(t, client, etcd, { relays: 1 });
  const first = await a.selector.select(ask('again'));
  const [relay] = registered;
  if (relay) {
    await deleteRelay(client, keys, relay);
  }
  await known([a], 'r1', undefined);
  t.is(await errorOf(a.selector.select(ask('again'))), 'no-relay');
  if (relay) {
    await putRelay(client, keys, relay);
  }
  await known([a], 'r1', 'life-of-r1');
  t.is(where(await a.selector.select(ask('again'))), where(first));
});

behavior(
  'a relay that is gone from etcd is never bound, even by a replica that has not heard',
  async (t, client, etcd) => {
    const keys = newKeyspace();
    await putRelay(client, keys, aRelay({ id: 'r1' }));
    const behind = await startSelector(t, etcd.endpoint, { keys });
    // Its watch is stopped: what it believes of the relays is frozen, until a failed guard makes it list.
    await behind.directory.stop();
    await deleteRelay(client, keys, aRelay({ id: 'r1' }));
    t.is(behind.directory.get('default', 'r1')?.relay.id, 'r1');
    // Its watch was cut: it does not believe yet that the only relay is gone.
    t.is(await errorOf(behind.selector.select(ask('live-target'))), 'relay-awaited');
    await putRelay(client, keys, aRelay({ id: 'r2' }));
    await behind.directory.refresh();
    t.is((await behind.selector.select(ask('live-target'))).binding.relayId, 'r2');
  },
);

behavior(
  'a replica that has not heard of a new relay does not move its calls away',
  async (t, client, etcd) => {
    const { a, b, keys } = await scene(t, client, etcd, { relays: 1 });
    await b.directory.stop();
    await putRelay(client, keys, aRelay({ id: 'r9' }));
    await known([a], 'r9', 'life-of-r9');
    const first = await a.selector.select({ ...ask('newcomer'), constraints: { target: 'r9' } });
    t.is(first.binding.relayId, 'r9');
    const second = await b.selector.select(ask('newcomer'));
    t.is(where(second), where(first));
    t.is(b.selector.counters.moved, 0);
  },
);

behavior(
  'a binding lives a whole TTL after its last use, and most uses write nothing',
  async (t, client, etcd) => {
    const clock = new ShiftedClock();
    const { a, keys } = await scene(t, client, etcd, {
      replicas: 1,
      clock,
      settings: { setupTtlSeconds: 100, callTtlSeconds: 1000 },
    });
    const leaseLeft = async () => {
      const { kvs } = await client.kv.range({ key: keys.call(parseCall('ttl')) });
      return Number((await client.leaseClient.leaseTimeToLive({ ID: kvs[0]?.lease ?? '0' })).TTL);
    };
    const first = ask('ttl');
    await a.selector.select(first);
    t.true((await leaseLeft()) >= 100);
    await a.selector.select(first);
    t.is(a.selector.counters.refreshed, 0, 'the same request again is no later use');
    await a.selector.select(ask('ttl'));
    t.is(a.selector.counters.refreshed, 1, 'a later use raises the setup TTL to that of a call');
    t.true((await leaseLeft()) >= 1000);
    await a.selector.select(ask('ttl'));
    clock.putForward(400_000);
    await a.selector.select(ask('ttl'));
    t.is(a.selector.counters.refreshed, 1, 'more than a TTL is left');
    clock.putForward(200_000);
    const { binding } = await a.selector.select(ask('ttl'));
    t.is(a.selector.counters.refreshed, 2, 'less than a TTL was left');
    t.true(binding.expiresAtMs - clock.wallMs() >= 1_000_000);
    t.is((await a.selector.select({ ...ask('ttl'), ttlSeconds: 3000 })).binding.ttlSeconds, 3000);
  },
);

behavior('the use that moves a call prolongs it like any other', async (t, client, etcd) => {
  const { a, keys } = await scene(t, client, etcd, { relays: 1, replicas: 1 });
  await a.selector.select(ask('moved-late'));
  await putRelay(client, keys, aRelay({ id: 'r1', instance: 'second-life' }));
  await known([a], 'r1', 'second-life');
  const { binding } = await a.selector.select(ask('moved-late'));
  t.is(where(await a.selector.select(ask('moved-late'))), 'r1/second-life/2');
  t.is(binding.ttlSeconds, 3600);
  t.true(remainingSeconds(binding, Date.now()) >= 3600);
  const [kv] = (await client.kv.range({ key: keys.call(binding.call) })).kvs;
  const { TTL } = await client.leaseClient.leaseTimeToLive({ ID: kv?.lease ?? '' });
  t.true(Number(TTL) >= 3600);
});

behavior('a move is fenced by the generation, and its retry moves once', async (t, client, etcd) => {
  const { a, b } = await scene(t, client, etcd);
  const call = parseCall('to-move');
  const first = await a.selector.select(ask(call));
  const request = aMove({ call, reason: 'one-way audio' });
  const moved = await b.selector.move(request);
  t.is(moved.binding.generation, 2);
  t.like(moved.binding.moves, [{ from: first.binding.relayId, reason: 'one-way audio', by: 'a tester' }]);
  t.not(moved.binding.relayId, first.binding.relayId);
  t.is(where(await a.selector.move(request)), where(moved), 'the same request again');
  t.is(await errorOf(a.selector.move({ ...request, requestId: 'move-2' })), 'failed-precondition');
  await eventually(
    async () => where(await a.selector.select(ask(call))) === where(moved),
    'news of the move',
  );
  t.is(await errorOf(a.selector.move({ ...request, call: parseCall('unbound') })), 'not-found');
  const target = {
    ...request,
    generation: 2,
    requestId: 'move-3',
    constraints: { target: first.binding.relayId },
  };
  t.is((await a.selector.move(target)).binding.relayId, first.binding.relayId);
});

behavior('two movers of one generation: one wins', async (t, client, etcd) => {
  const { a, b } = await scene(t, client, etcd);
  const call = parseCall('race');
  await a.selector.select(ask(call));
  const outcomes = await Promise.all(
    [a, b].map(({ selector }, i) => errorOf(selector.move(aMove({ call, requestId: `m${i}` })))),
  );
  t.deepEqual(outcomes.sort(), ['failed-precondition', 'no error']);
});

behavior('no relay, full relays and junk are told apart', async (t, client, etcd) => {
  const { a, keys } = await scene(t, client, etcd, { relays: 0, replicas: 1 });
  t.is(await errorOf(a.selector.select(ask('nobody'))), 'no-relay');
  await putRelay(client, keys, aRelay({ id: 'small', capacity: 1 }));
  await known([a], 'small', 'life-of-small');
  const first = await a.selector.select(ask('fits'));
  t.is(await errorOf(a.selector.select(ask('does-not'))), 'relays-full');
  t.is(where(await a.selector.select(ask('fits'))), where(first), 'a bound call is served all the same');
  t.is(await errorOf(a.selector.select(ask(parseCall('x', '', 'elsewhere')))), 'no-relay');
  await client.kv.put({ key: keys.call(parseCall('junk')), value: Buffer.from('{"relay": 1') });
  await putRelay(client, keys, aRelay({ id: 'large' }));
  await known([a], 'large', 'life-of-large');
  t.is(await a.selector.lookup(parseCall('junk')), undefined);
  t.is((await a.selector.select(ask('junk'))).origin, 'new');
});

test('a request whose answer was lost ends in the binding that it made', async (t) => {
  const etcd = await startEmbeddedEtcd(t);
  const client = connect(t, etcd.endpoint);
  const keys = newKeyspace();
  for (const id of ['r1', 'r2', 'r3']) {
    await putRelay(client, keys, aRelay({ id }));
  }
  const proxy = await TcpProxy.start(t, etcd.endpoint);
  const cut = await startSelector(t, proxy.endpoint, { keys, timeoutMs: 2000 });
  const other = await startSelector(t, etcd.endpoint, { keys });
  const request = ask('lost-answer');
  await cut.selector.select(ask('warm-up'));
  proxy.freeze('answers');
  const first = Promise.resolve(cut.selector.select(request)).then(where, codeOf);
  await eventually(async () => (await other.selector.lookup(request.call)) !== undefined, 'the write');
  const retried = await other.selector.select(request);
  t.is(retried.origin, 'new', 'by its request id it knows its own write');
  proxy.restore();
  const outcome = await first;
  t.true(outcome === where(retried) || outcome === 'unavailable', outcome);
  t.is(where(await cut.selector.select(request)), where(retried));
});

test('without etcd, known calls are answered as stale; when it is back, as fresh', async (t) => {
  const etcd = await startEmbeddedEtcd(t);
  const client = connect(t, etcd.endpoint);
  const keys = newKeyspace();
  await putRelay(client, keys, aRelay({ id: 'r1' }));
  const proxy = await TcpProxy.start(t, etcd.endpoint);
  const { selector, directory } = await startSelector(t, proxy.endpoint, { keys, timeoutMs: 2000 });
  const first = await selector.select(ask('known'));
  proxy.cut();
  await eventually(() => !directory.live, 'the cut');
  const stale = await selector.select(ask('known'));
  t.is(stale.freshness, 'stale');
  t.is(where(stale), where(first));
  t.is((await selector.lookup(parseCall('known')))?.freshness, 'stale');
  t.is(await errorOf(selector.lookup(parseCall('unknown'))), 'unavailable');
  proxy.restore();
  await eventually(async () => (await selector.select(ask('known'))).freshness === 'fresh', 'fresh answers');
  t.is((await selector.select(ask('new-again'))).freshness, 'fresh');
});
