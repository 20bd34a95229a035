import test, { type ExecutionContext } from 'ava';
import { parseCall } from '../../../services/domain/call.js';
import { CachedBindingStore } from '../../../services/selection/cached-store.js';
import { aBinding } from '../../support/registry.js';
import { rebuildScene } from './carried/scene.js';

const call = parseCall('call-1', '', 'default');

/** What is left of a call after etcd was wiped: this replica has heard of its third generation, on r2. */
function lost(t: ExecutionContext) {
  const { cache, deps } = rebuildScene(t);
  const cachedStore = new CachedBindingStore(deps);
  cache.hearMove(call.key, { revision: 5, generation: 3, relayId: 'r2' });
  cachedStore.beginHistory({ kind: 'replaced', reason: 'a test', revision: 0 });
  return cachedStore;
}

test('a call of which nothing was known begins at the first generation', (t) => {
  const { deps } = rebuildScene(t);
  t.is(new CachedBindingStore(deps).nextGeneration({ call }), 1);
});

test('a lost call goes on above the last move, but where that took it', (t) => {
  const cachedStore = lost(t);
  t.is(cachedStore.nextGeneration({ call }), 4);
  t.is(cachedStore.nextGeneration({ call }, 'r1'), 4);
  t.is(cachedStore.nextGeneration({ call }, 'r2'), 3);
});

test('a call of which etcd has an outdated state goes on above that', (t) => {
  const cachedStore = lost(t);
  const after = (generation: number) => ({ call, outdated: aBinding(call, { generation }) });
  t.is(cachedStore.nextGeneration(after(2), 'r2'), 3);
  t.is(cachedStore.nextGeneration(after(3), 'r2'), 4);
  t.is(cachedStore.nextGeneration(after(7)), 8);
});
