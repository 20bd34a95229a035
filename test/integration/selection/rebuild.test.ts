import { parseCall } from '../../../services/domain/call.js';
import type { HoldfastEvent } from '../../../services/domain/events.js';
import type { Relay } from '../../../services/domain/relay.js';
import type { Answer } from '../../../services/selection/requests.js';
import { ShiftedClock } from '../../support/clock.js';
import { behaviors } from '../../support/etcd.js';
import { FakeInquiry } from '../../support/fake-inquiry.js';
import { ask, deleteRelay, errorOf, eventually, startSelector, where } from '../../support/registry.js';
import { TcpProxy } from '../../support/tcp-proxy.js';
import { beginHistory, bindingOf, ids, rebuiltBy, replaced, wipe } from './history.js';
import { aMove, known, scene } from './scene.js';

/** What becomes of calls that etcd has lost: wiped, restored from an older state, or away for longer than its leases. */

const behavior = behaviors();
const threeHoursMs = 3 * 3_600_000;

behavior(
  'after etcd was wiped, live calls are back on their relays, and ended ones are not',
  async (t, client, etcd) => {
    const inquiry = new FakeInquiry();
    const { a, b, keys } = await scene(t, client, etcd, { inquiry });
    const before = new Map<string, Answer>();
    const told: HoldfastEvent[] = [];
    for (const { events } of [a, b]) {
      events.subscribe((event) => told.push(event));
    }
    for (const [i, id] of [...ids('setup', 20), ...ids('answered', 40), ...ids('moved', 20)].entries()) {
      const [one, other] = i % 2 ? [a, b] : [b, a];
      let answer = await one.selector.select(ask(id));
      if (id.startsWith('moved')) {
        answer = await other.selector.move(aMove({ call: parseCall(id) }));
      }
      if (!id.startsWith('setup')) {
        answer = (await one.selector.answered(parseCall(id), answer.binding)) ?? answer;
      }
      inquiry.carry(answer.binding.relayId, id);
      before.set(id, answer);
    }
    for (const id of ids('released', 10)) {
      await a.selector.select(ask(id));
      await b.selector.select(ask(id));
      await a.selector.release(parseCall(id));
    }
    // Ended on its relay; of that no replica has heard.
    for (const id of ids('ended', 10)) {
      const { binding } = await a.selector.select(ask(id));
      await a.selector.answered(parseCall(id), binding);
      await b.selector.lookup(parseCall(id));
    }
    await wipe(client, keys);
    for (const replica of [a, b]) {
      beginHistory(replica);
    }
    await eventually(
      () => told.filter(({ type }) => type === 'bindingsReasserted').length === 2,
      'two replicas that have asserted what they remember',
    );
    for (const [id, answer] of before) {
      const binding = await bindingOf(a, id);
      t.is(binding && `${binding.relayId}/${binding.instance}/${binding.generation}`, where(answer), id);
      t.like(binding, { state: answer.binding.state, beginning: answer.binding.beginning }, id);
      t.deepEqual(binding?.moves, answer.binding.moves, id);
    }
    // One of the replicas has not heard of the release, and none of the ends; the relays say so.
    for (const id of [...ids('ended', 10), ...ids('released', 10)]) {
      t.is(await bindingOf(a, id), undefined, id);
    }
    for (const { selector } of [a, b]) {
      for (const [id, answer] of before) {
        const again = await selector.select(ask(id, { inDialog: true }));
        t.is(where(again), where(answer));
        t.is(again.freshness, 'fresh');
      }
    }
    const [kv] = (await client.kv.range({ key: keys.call(parseCall('answered-1')) })).kvs;
    const { TTL } = await client.leaseClient.leaseTimeToLive({ ID: kv?.lease ?? '' });
    t.true(Number(TTL) >= 3600, `${TTL} s`);
  },
);

behavior('a use that comes before all is back finds the call where it was', async (t, client, etcd) => {
  const { a, b, keys } = await scene(t, client, etcd);
  const before = new Map<string, Answer>();
  for (const id of ids('used', 30)) {
    before.set(id, await a.selector.select(ask(id)));
  }
  await wipe(client, keys);
  for (const { selector } of [a, b]) {
    selector.beginHistory(replaced);
  }
  for (const [id, answer] of before) {
    const again = await a.selector.select(ask(id, { inDialog: true }));
    t.is(where(again), where(answer));
    t.is(again.binding.createdAtMs, answer.binding.createdAtMs);
    t.is(where(await b.selector.select(ask(id))), where(answer), 'the other knows it from etcd');
  }
});

behavior(
  'a replica that never knew the call asks the relays while calls are on their way back',
  async (t, client, etcd) => {
    const inquiry = new FakeInquiry();
    const { a, b, keys } = await scene(t, client, etcd, { inquiry });
    const first = await a.selector.select(ask('elsewhere', { constraints: { target: 'r3' } }));
    inquiry.carry('r3', 'elsewhere');
    await wipe(client, keys);
    b.selector.beginHistory(replaced);
    t.is((await b.selector.select(ask('elsewhere'))).binding.relayId, first.binding.relayId);
  },
);

behavior(
  'a call in progress is back on its relay although another replica sets it up elsewhere',
  async (t, client, etcd) => {
    const inquiry = new FakeInquiry();
    const { a, b, keys } = await scene(t, client, etcd, { inquiry });
    const call = parseCall('set-up-elsewhere');
    const { binding } = await a.selector.select(ask(call, { constraints: { target: 'r3' } }));
    const answered = await a.selector.answered(call, binding);
    inquiry.carry('r3', call);
    await wipe(client, keys);
    const elsewhere = await b.selector.select(ask(call, { constraints: { target: 'r1' } }));
    t.is(where(elsewhere), 'r1/life-of-r1/1');
    const told = rebuiltBy(a);
    beginHistory(a);
    await told;
    const { beginning, createdAtMs } = answered?.binding ?? binding;
    t.like(await bindingOf(a, 'set-up-elsewhere'), {
      relayId: 'r3',
      state: 'answered',
      generation: 2,
      beginning,
      createdAtMs,
    });
    await eventually(
      async () => (await b.selector.lookup(call))?.binding.relayId === 'r3',
      'news of where the call is',
    );
  },
);

behavior('no generation goes back, of what is remembered or was only heard', async (t, client, etcd) => {
  const { a, b, keys } = await scene(t, client, etcd);
  const [kept, heard] = [parseCall('kept'), parseCall('heard')];
  for (const call of [kept, heard]) {
    await a.selector.select(ask(call));
    await b.selector.move(aMove({ call }));
    await b.selector.move(aMove({ call, generation: 2, requestId: 'move-2' }));
  }
  const news = await b.selector.select(ask(kept));
  await eventually(
    async () => (await a.selector.lookup(heard))?.binding.generation === 3,
    'news of the moves',
  );
  a.cache.forget(parseCall('heard', '', 'default'));
  a.cache.forget(parseCall('kept', '', 'default'));
  await wipe(client, keys);
  a.selector.beginHistory(replaced);
  b.selector.beginHistory(replaced);
  const anew = await a.selector.select(ask(heard));
  t.is(anew.binding.generation, 4, 'begun again above all that it was');
  t.is(where(await b.selector.select(ask(kept))), where(news));
  t.is(where(await a.selector.select(ask(kept))), where(news));
});

behavior(
  'an older state that came back gives way to the generation that is remembered',
  async (t, client, etcd) => {
    const inquiry = new FakeInquiry();
    const { a, b, keys } = await scene(t, client, etcd, { inquiry });
    const call = parseCall('restored');
    await a.selector.select(ask(call));
    const [snapshot] = (await client.kv.range({ key: keys.call(call) })).kvs;
    const moved = await a.selector.move(aMove({ call }));
    await a.selector.answered(call, moved.binding);
    inquiry.carry(moved.binding.relayId, 'restored');
    // Another call of which this is all that anybody knows.
    const other = parseCall('only-there');
    await b.selector.select(ask(other));
    await wipe(client, keys);
    await client.kv.put({ key: keys.call(call), value: snapshot?.value ?? Buffer.alloc(0) });
    beginHistory(a);
    await eventually(
      async () => (await a.store.read(call)).binding?.generation === 2,
      'the present generation',
    );
    t.is(where(await b.selector.select(ask(call, { inDialog: true, ttlSeconds: 7200 }))), where(moved));
  },
);

behavior('a released call of which nothing came back is forgotten', async (t, client, etcd) => {
  const { a, keys } = await scene(t, client, etcd, { replicas: 1 });
  const call = parseCall('over');
  await a.selector.select(ask(call));
  await a.selector.release(call);
  await wipe(client, keys);
  const told = rebuiltBy(a);
  beginHistory(a);
  t.like((await told).details, { reasserted: 0 });
  t.is(await bindingOf(a, 'over'), undefined);
});

behavior('a moved call is found where it went, not where it left a session', async (t, client, etcd) => {
  const inquiry = new FakeInquiry();
  const { a, b, keys } = await scene(t, client, etcd, { inquiry });
  const expected = new Map<string, string>();
  for (const id of ids('moved', 10)) {
    const first = await a.selector.select(ask(id));
    // So it answers from memory, until it hears of the move.
    await b.selector.lookup(parseCall(id));
    const moved = await a.selector.move(aMove({ call: parseCall(id) }));
    inquiry.carry(first.binding.relayId, id, 100);
    inquiry.carry(moved.binding.relayId, id, 10);
    expected.set(id, where(moved));
    await eventually(
      async () => (await b.selector.lookup(parseCall(id)))?.binding.generation === 2,
      'news of the move',
    );
    b.cache.forget(parseCall(id, '', 'default'));
  }
  await wipe(client, keys);
  b.selector.beginHistory(replaced);
  for (const [id, moved] of expected) {
    t.is(where((await b.selector.lookup(parseCall(id), { adopts: true })) as Answer), moved, id);
  }
});

behavior('a call whose relay went down with etcd goes on at the next generation', async (t, client, etcd) => {
  const { a, keys, registered } = await scene(t, client, etcd, { replicas: 1 });
  const first = await a.selector.select(ask('both-gone', { inDialog: true }));
  await wipe(client, keys);
  const gone = registered.find(({ id }) => id === first.binding.relayId) as Relay;
  await deleteRelay(client, keys, gone);
  await known([a], gone.id, undefined);
  a.selector.beginHistory(replaced);
  const next = await a.selector.select(ask('both-gone', { inDialog: true }));
  t.is(next.binding.generation, 2);
  t.is(next.origin, 'moved');
  t.is(next.binding.moves[0]?.from, gone.id);
});

behavior(
  'an outage longer than the leases: known calls are answered, and asserted again',
  async (t, client, etcd) => {
    const clock = new ShiftedClock();
    const inquiry = new FakeInquiry();
    const { keys } = await scene(t, client, etcd, { replicas: 0 });
    const proxy = await TcpProxy.start(t, etcd.endpoint);
    const replica = await startSelector(t, proxy.endpoint, { keys, clock, inquiry, timeoutMs: 500 });
    const { selector, quorum, engine } = replica;
    const before = new Map<string, Answer>();
    for (const id of ids('long', 30)) {
      const { binding } = await selector.select(ask(id));
      const answer = await selector.answered(parseCall(id), binding);
      inquiry.carry(binding.relayId, id);
      before.set(id, answer as Answer);
    }
    proxy.cut();
    await errorOf(selector.lookup(parseCall('the-first-to-notice')));
    await eventually(() => quorum.lost !== undefined, 'loss');
    for (const step of [0, threeHoursMs, -2 * threeHoursMs, 20 * 3_600_000]) {
      clock.stepWall(step);
      clock.putForward(8 * 60_000);
      for (const [id, answer] of before) {
        const again = await selector.select(ask(id));
        t.is(again.freshness, 'stale', id);
        t.is(where(again), where(answer));
      }
    }
    clock.putForward(2 * 3_600_000);
    // By etcd's clock, all leases have run out.
    await wipe(client, keys);
    proxy.restore();
    await eventually(() => !quorum.lost && engine.live, 'etcd');
    for (const [id, answer] of before) {
      await eventually(async () => (await bindingOf(replica, id)) !== undefined, `${id} in etcd`);
      const again = await selector.select(ask(id, { inDialog: true }));
      t.is(where(again), where(answer));
      t.is(again.freshness, 'fresh');
    }
  },
);
