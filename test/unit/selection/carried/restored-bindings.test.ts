import test, { type ExecutionContext } from 'ava';
import type { Binding } from '../../../../services/domain/binding.js';
import { parseCall } from '../../../../services/domain/call.js';
import { aBinding } from '../../../support/registry.js';
import { rebuildScene } from './scene.js';

const call = parseCall('call-1', '', 'default');

/**
 * Another replica has bound a call to r1; then this one hears that etcd was restored.
 * @param ageMs by this replica's wall clock
 */
async function restored(t: ExecutionContext, ageMs: number, overrides: Partial<Binding> = {}) {
  const made = rebuildScene(t);
  const expiresAtMs = made.clock.wallMs() - ageMs + 450_000;
  made.store.put(aBinding(call, { ...overrides, expiresAtMs }));
  made.replace(made.store.revision);
  await made.pass(100);
  const bound = () => made.store.bindings.get(call.key)?.binding;
  return { ...made, bound };
}

test('a call that was bound just before its relay was asked has not ended: the offer is on its way', async (t) => {
  const { bound, inquiry, pass, selector } = await restored(t, 500);
  t.is(bound()?.state, 'setup');
  t.is((await selector.lookup(call, { current: true }))?.binding.state, 'setup');
  inquiry.carry('r1', call);
  await pass(10_000);
  t.is(bound()?.state, 'setup');
});

test('nor has it moved, though another relay has a session of it left', async (t) => {
  const { bound, inquiry, pass } = await restored(t, 500);
  inquiry.carry('r2', call);
  await pass(1000);
  t.like(bound(), { relayId: 'r1', state: 'setup' });
});

test('if its relay does not know it a few seconds later, it has ended', async (t) => {
  const { bound, pass, selector } = await restored(t, 500);
  await pass(6000);
  t.is(bound()?.state, 'released');
  t.is((await selector.lookup(call, { current: true }))?.binding.state, 'released');
});

test('one that was bound earlier, or is answered, has ended at once', async (t) => {
  t.is((await restored(t, 6000)).bound()?.state, 'released');
  t.is((await restored(t, 500, { state: 'answered' })).bound()?.state, 'released');
});

test('also one that was bound in the future: a clock was set', async (t) => {
  t.is((await restored(t, -10_000)).bound()?.state, 'released');
  const { bound, clock, pass } = await restored(t, 500);
  clock.stepWall(-3_600_000);
  await pass(1000);
  t.is(bound()?.state, 'released');
});

test('one that has moved unheard is found among hundreds that have ended', async (t) => {
  const { clock, inquiry, pass, replace, store } = rebuildScene(t);
  const expiresAtMs = clock.wallMs() + 400_000;
  const ids = Array.from({ length: 600 }, (_, i) => `call-${i}`);
  for (const id of ids) {
    store.put(aBinding(id, { expiresAtMs }));
  }
  inquiry.carry('r2', 'call-599');
  replace(store.revision);
  await pass(1000);
  const states = ids.map((id) => store.bindings.get(parseCall(id, '', 'default').key)?.binding);
  t.is(states.filter((binding) => binding?.state === 'released').length, 599);
  t.like(states[599], { relayId: 'r2', generation: 2, state: 'answered' });
});
