import { parseCall } from '../../../services/domain/call.js';
import { behaviors } from '../../support/etcd.js';
import { ask, errorOf, eventually, where } from '../../support/registry.js';
import { aMove, scene } from './scene.js';

/** One Call-ID in several relay sets, as an edge and a core proxy make it. */

const behavior = behaviors();
const sets = ['default', 'edge', 'core'];
const inEdge = (id: string) => parseCall(id, '', 'edge');
const inCore = (id: string) => parseCall(id, '', 'core');
const unnamed = (id: string) => parseCall(id);

behavior(
  'two sets with one Call-ID have two bindings, each with a life of its own',
  async (t, client, etcd) => {
    const { a, b } = await scene(t, client, etcd, { sets });
    const edge = await a.selector.select(ask(inEdge('c')));
    const core = await b.selector.select(ask(inCore('c')));
    t.is(edge.relay?.relay.set, 'edge');
    t.is(core.relay?.relay.set, 'core');
    t.deepEqual([edge.origin, core.origin], ['new', 'new']);
    for (const { selector } of [a, b]) {
      t.is(where(await selector.select(ask(inEdge('c')))), where(edge));
      t.is(where(await selector.select(ask(inCore('c')))), where(core));
    }
    await b.selector.answered(inEdge('c'), edge.binding);
    const moved = await b.selector.move(aMove({ call: inCore('c') }));
    await a.selector.release(inEdge('c'));
    t.like((await a.store.read(inEdge('c'))).binding, { state: 'released', generation: 1 });
    t.like((await a.store.read(inCore('c'))).binding, { state: 'setup', generation: 2 });
    await eventually(
      async () => where(await a.selector.select(ask(inCore('c')))) === where(moved),
      'news of the move',
    );
  },
);

behavior(
  'a request that names no set finds the call where it is, if one set has it',
  async (t, client, etcd) => {
    const { a, b } = await scene(t, client, etcd, { sets });
    const edge = await a.selector.select(ask(inEdge('only')));
    for (const { selector } of [a, b]) {
      const found = await selector.select(ask(unnamed('only')));
      t.is(where(found), where(edge));
      t.is(found.binding.call.set, 'edge');
      t.is(found.relay?.relay.set, 'edge');
      const again = await selector.select(ask(unnamed('only'), { inDialog: true }));
      t.is(where(again), where(edge), 'a proxy that forgets the set on a re-INVITE does not split the call');
      t.is((await selector.lookup(unnamed('only')))?.binding.call.set, 'edge');
    }
    t.is((await a.store.read(parseCall('only', '', 'default'))).binding, undefined);
    const answered = await b.selector.answered(unnamed('only'), edge.binding);
    t.like(answered?.binding, { state: 'answered' });
    const moved = await b.selector.move(aMove({ call: unnamed('only') }));
    t.like(moved.binding, { generation: 2, state: 'answered' });
    t.is(moved.relay?.relay.set, 'edge');
    t.true(await b.selector.release(unnamed('only')));
    t.is((await a.store.read(inEdge('only'))).binding?.state, 'released');
  },
);

behavior('otherwise it means the default set', async (t, client, etcd) => {
  const { a, b } = await scene(t, client, etcd, { sets });
  for (const call of [inEdge('many'), inCore('many')]) {
    await a.selector.select(ask(call));
  }
  for (const { selector } of [a, b]) {
    const found = await selector.lookup(unnamed('many'));
    t.is(found, undefined, 'two others have it: none of them is meant');
  }
  const own = await b.selector.select(ask(unnamed('many')));
  t.like(own, { origin: 'new' });
  t.is(own.binding.call.set, 'default');
  t.is(where(await a.selector.select(ask(unnamed('many')))), where(own));
  const fresh = await a.selector.select(ask(unnamed('never')));
  t.is(fresh.binding.call.set, 'default');
  t.is((await b.selector.select(ask(inEdge('never')))).origin, 'new', 'another set may have it, too');
  t.is((await b.selector.select(ask(unnamed('never')))).binding.call.set, 'default');
});

behavior('replicas that are asked at the same time agree on the set', async (t, client, etcd) => {
  const { a, b } = await scene(t, client, etcd, { sets, relays: 2 });
  const ids = Array.from({ length: 40 }, (_, i) => `race-${i}`);
  await Promise.all(
    ids.map(async (id, i) => {
      const [one, other] = i % 2 ? [a, b] : [b, a];
      await Promise.all([
        one.selector.select(ask(unnamed(id))),
        other.selector.select(ask(unnamed(id))),
        ...(i % 4 < 2 ? [] : [one.selector.select(ask(inEdge(id)))]),
      ]);
    }),
  );
  for (const [i, id] of ids.entries()) {
    const found = [await a.selector.lookup(unnamed(id)), await b.selector.lookup(unnamed(id))];
    t.is(found[0] && where(found[0]), found[1] && where(found[1]), id);
    const inDefault = (await a.store.read(parseCall(id, '', 'default'))).binding;
    const edge = (await a.store.read(inEdge(id))).binding;
    if (i % 4 < 2) {
      t.truthy(inDefault);
      t.falsy(edge);
    } else {
      t.truthy(edge);
      // Whoever named none was first, or found the call in the edge set: it is where it was answered.
      const [set, binding] = inDefault ? ['default', inDefault] : ['edge', edge];
      t.is(found[0]?.binding.call.set, set, id);
      t.is(found[0]?.binding.relayId, binding?.relayId);
    }
  }
});

behavior(
  'two that name no set, and one that names another, never answer three places',
  async (t, client, etcd) => {
    const { a, b } = await scene(t, client, etcd, { sets, relays: 3 });
    for (let i = 0; i < 30; i++) {
      const id = `torn-${i}`;
      const [one, other, edge] = await Promise.all([
        a.selector.select(ask(unnamed(id))),
        b.selector.select(ask(unnamed(id))),
        b.selector.select(ask(inEdge(id))),
      ]);
      t.is(edge.binding.call.set, 'edge');
      const places = new Set([one, other].map((each) => `${each.binding.call.set} ${where(each)}`));
      // Each of them was first, or found what was.
      if (places.size > 1) {
        t.deepEqual(
          new Set([one, other].map(({ binding }) => binding.call.set)),
          new Set(['default', 'edge']),
        );
      }
    }
  },
);

behavior('branches of a call are bound apart, in each set', async (t, client, etcd) => {
  const { a, b } = await scene(t, client, etcd, { sets });
  const branch = (via: string, set?: string) => parseCall('forked', via, set);
  const whole = await a.selector.select(ask(unnamed('forked')));
  const one = await a.selector.select(ask(branch('z9hG4bK1', 'edge')));
  t.is(whole.origin, 'new');
  t.is(one.origin, 'new');
  t.is(where(await b.selector.select(ask(branch('z9hG4bK1')))), where(one), 'found in the set that has it');
  t.is((await b.selector.select(ask(branch('z9hG4bK2')))).binding.call.set, 'default');
  t.is((await b.selector.lookup(unnamed('forked')))?.binding.call.set, 'default');
  await a.selector.release(branch('z9hG4bK1'));
  t.is((await a.store.read(unnamed('forked'))).binding?.state, 'setup');
});

behavior('a Call-ID that begins like another is another call', async (t, client, etcd) => {
  const { a } = await scene(t, client, etcd, { sets, replicas: 1 });
  for (const id of ['abc', 'abc/edge', 'abc~', 'abc%2F', 'ab']) {
    await a.selector.select(ask(inEdge(id)));
  }
  for (const id of ['a', 'abcd', 'abc/', 'abc%', 'abc/default', 'abc/edge/x']) {
    t.is(await a.selector.lookup(unnamed(id)), undefined, id);
  }
  t.is((await a.selector.lookup(unnamed('abc/edge')))?.binding.call.callId, 'abc/edge');
});

behavior(
  'any Call-ID is taken: spaces, UTF-8, bytes that are no text, and 16 KiB of them',
  async (t, client, etcd) => {
    const { a, b } = await scene(t, client, etcd, { sets });
    const ids = [
      'with space',
      'Anrufé\u{1f4de}',
      'a/b%c~d',
      'x'.repeat(16_384),
      'é'.repeat(8192),
      Buffer.of(0xff, 0, 0x2f),
      Buffer.alloc(16_384, 0xfe),
    ];
    for (const id of ids) {
      const call = parseCall(id, '', 'edge');
      const first = await a.selector.select(ask(call));
      const second = await b.selector.select(ask(parseCall(id)));
      t.is(where(second), where(first));
      t.deepEqual(second.binding.call, call);
      await a.selector.move(aMove({ call }));
      t.true(await a.selector.release(call));
    }
    const listed: string[] = [];
    for await (const { binding } of a.store.list()) {
      listed.push(binding.call.callId);
    }
    t.deepEqual(listed.sort(), ids.map((id) => parseCall(id).callId).sort());
  },
);

behavior('a set without relays takes no call, and hides none', async (t, client, etcd) => {
  const { a } = await scene(t, client, etcd, { sets: ['edge'], replicas: 1 });
  t.is(await errorOf(a.selector.select(ask(unnamed('nowhere')))), 'no-relay');
  const edge = await a.selector.select(ask(inEdge('somewhere')));
  t.is(where(await a.selector.select(ask(unnamed('somewhere')))), where(edge));
});
