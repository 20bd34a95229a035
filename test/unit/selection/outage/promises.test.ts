import test from 'ava';
import { parseCall } from '../../../../services/domain/call.js';
import { ask } from '../../../support/registry.js';
import { rebuildScene } from '../carried/scene.js';

/** Calls that a replica gave a relay without etcd. */

const call = parseCall('call-1', '', 'default');

test('a lookup of a call that was promised writes nothing, wherever the call is bound meanwhile', async (t) => {
  for (const isBoundElsewhere of [false, true]) {
    const { during, selector, store } = rebuildScene(t);
    await during(async () => {
      t.like(await selector.select(ask(call)), { freshness: 'provisional', binding: { relayId: 'r1' } });
    });
    if (isBoundElsewhere) {
      const { binding } = (await selector.lookup(call)) ?? t.fail();
      store.put({ ...binding, relayId: 'r2', instance: 'life-of-r2', requestId: 'of another replica' });
    }
    const { revision } = store;
    t.is((await selector.lookup(call))?.binding.relayId, isBoundElsewhere ? 'r2' : 'r1');
    t.is(store.revision, revision);
    t.is(selector.provisionalBindings, 1, 'it is still to be bound');
  }
});

test('a replica that remembers no bindings keeps its promises', async (t) => {
  const { cache, during, selector } = rebuildScene(t, ['r1', 'r2', 'r3'], { cacheEntries: 0 });
  await during(async () => {
    const invite = ask(call, { constraints: { target: 'r2' } });
    t.like(await selector.select(invite), { freshness: 'provisional', binding: { relayId: 'r2' } });
    t.is((await selector.select(ask(call, { inDialog: true }))).binding.relayId, 'r2');
  });
  await selector.reconcile();
  t.is(cache.size, 0);
  t.like(selector.counters, { kept: 1, dropped: 0 });
  t.like(await selector.select(ask(call, { inDialog: true })), {
    freshness: 'fresh',
    binding: { relayId: 'r2', generation: 1 },
  });
});
