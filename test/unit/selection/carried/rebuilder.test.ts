import test, { type ExecutionContext } from 'ava';
import type { StoredBinding } from '../../../../services/domain/binding.js';
import { parseCall } from '../../../../services/domain/call.js';
import { ask } from '../../../support/registry.js';
import { rebuildScene } from './scene.js';

const call = parseCall('call-1', '', 'default');

/** A call that this replica has bound to r1; etcd is wiped then. */
async function wiped(t: ExecutionContext) {
  const made = rebuildScene(t);
  await made.selector.select(ask(call, { constraints: { target: 'r1' } }));
  made.store.bindings.clear();
  const bound = () => made.store.bindings.get(call.key)?.binding;
  return { ...made, bound };
}

test('a call is bound again where it was', async (t) => {
  const { bound, inquiry, pass, replace } = await wiped(t);
  inquiry.carry('r1', call);
  replace();
  await pass(1000);
  t.like(bound(), { relayId: 'r1', generation: 1, state: 'setup' });
});

test('all that are remembered are bound again, however many', async (t) => {
  const { cache, inquiry, pass, replace, selector, store } = rebuildScene(t);
  const calls = Array.from({ length: 1000 }, (_, i) => parseCall(`call-${i}`, '', 'default'));
  for (const each of calls) {
    const { binding } = await selector.select(ask(each));
    await selector.answered(each, binding);
    inquiry.carry(binding.relayId, each);
  }
  t.is(cache.size, calls.length);
  store.bindings.clear();
  replace();
  await pass(1000);
  await pass(1000);
  t.deepEqual(
    calls.filter(({ key }) => !store.bindings.has(key)),
    [],
  );
});

test('one that no relay carries has ended', async (t) => {
  const { bound, cache, inquiry, pass, replace } = await wiped(t);
  replace();
  await pass(1000);
  t.is(bound(), undefined);
  t.is(cache.survivor(call), undefined);
  t.is(inquiry.asked, 0, 'the lists of the relays say it');
});

test('one that has moved unheard is bound where it is, above the generation that is remembered', async (t) => {
  for (const isComplete of [true, false]) {
    const { bound, inquiry, pass, replace } = await wiped(t);
    inquiry.isComplete = isComplete;
    inquiry.carry('r2', call);
    replace();
    await pass(1000);
    t.like(bound(), { relayId: 'r2', generation: 2, state: 'answered' });
  }
});

test('a relay that may carry it and is silent is asked again, for a while', async (t) => {
  const { bound, cache, inquiry, pass, replace } = await wiped(t);
  inquiry.carry('r2', call);
  inquiry.silent.add('r2');
  replace();
  await pass(1000);
  t.truthy(cache.survivor(call), 'it is not taken for ended');
  inquiry.silent.delete('r2');
  await pass(1000);
  t.like(bound(), { relayId: 'r2', generation: 2 });

  const never = await wiped(t);
  never.inquiry.silent.add('r2');
  never.replace();
  await never.pass(3000);
  t.is(never.cache.survivor(call), undefined);
});

test('what another replica has bound meanwhile remains', async (t) => {
  const { bound, inquiry, pass, replace, selector, store } = await wiped(t);
  inquiry.carry('r2', call);
  const other = { ...(await selector.select(ask('call-2'))).binding, call, generation: 7, relayId: 'r3' };
  store.put({ ...other, instance: 'life-of-r3' });
  replace();
  await pass(1000);
  t.like(bound(), { relayId: 'r3', generation: 7 });
});

test('an answered call goes back from where another replica sets it up only if its relay says that it carries it', async (t) => {
  for (const [isSilent, relayId, generation] of [
    [true, 'r2', 2],
    [false, 'r1', 3],
  ] as const) {
    const { bound, inquiry, pass, replace, selector, store } = await wiped(t);
    store.bindings.clear();
    const { binding } = await selector.select(ask('call-2', { constraints: { target: 'r1' } }));
    store.put({ ...binding, call });
    await selector.answered(call, (await selector.select(ask(call))).binding);
    const other = await selector.select(ask('call-3', { constraints: { target: 'r2' } }));
    store.put({ ...other.binding, call, generation: 2 });
    inquiry.carry('r1', call);
    if (isSilent) {
      inquiry.silent.add('r1');
    }
    replace();
    await pass(4000);
    t.like(bound(), { relayId, generation });
  }
});

/** Calls that a snapshot has as answered on r1, and this replica does not remember. */
async function restoredCalls(t: ExecutionContext, count: number) {
  const made = rebuildScene(t);
  const { selector, store, cache } = made;
  const calls = Array.from({ length: count }, (_, i) => parseCall(`call-${i}`, '', 'default'));
  for (const each of calls) {
    const { binding } = await selector.select(ask(each, { constraints: { target: 'r1' } }));
    await selector.answered(each, binding);
    cache.forget(each);
  }
  return {
    ...made,
    calls,
    bindingOf: (each: (typeof calls)[number]) => store.bindings.get(each.key)?.binding,
  };
}

test('a restored call that had moved and ended stays ended, above the generation that was heard of', async (t) => {
  for (const isComplete of [true, false]) {
    const { bindingOf, cache, calls, inquiry, pass, replace, selector, store } = await restoredCalls(t, 1);
    const [moved] = calls as [(typeof calls)[number]];
    inquiry.isComplete = isComplete;
    cache.hearMove(moved.key, { revision: store.revision + 1, generation: 4, relayId: 'r2' });
    replace(store.revision);
    await pass(1000);
    t.like(bindingOf(moved), { state: 'released', generation: 5 });
    const again = await selector.select(ask(moved));
    t.like(again.binding, { state: 'setup', generation: 5 });
  }
});

test('a restored call that has moved is not believed ended while a relay that may carry it is silent', async (t) => {
  const { bindingOf, cache, calls, inquiry, pass, replace, store } = await restoredCalls(t, 1);
  const [moved] = calls as [(typeof calls)[number]];
  cache.hearMove(moved.key, { revision: store.revision + 1, generation: 4, relayId: 'r2' });
  inquiry.carry('r2', moved);
  inquiry.silent.add('r2');
  replace(store.revision);
  await pass(2000);
  t.like(bindingOf(moved), { state: 'answered', generation: 1 });
  inquiry.silent.delete('r2');
  await pass(1000);
  t.like(bindingOf(moved), { state: 'answered', relayId: 'r2', generation: 4 });
});

test('all restored calls that moved unheard are bound where they are, however many', async (t) => {
  const { bindingOf, calls, inquiry, pass, replace, store } = await restoredCalls(t, 900);
  for (const each of calls) {
    inquiry.carry('r2', each);
  }
  replace(store.revision);
  for (let seconds = 0; seconds < 5; seconds++) {
    await pass(1000);
  }
  t.deepEqual(
    calls.filter((each) => bindingOf(each)?.relayId !== 'r2' || bindingOf(each)?.generation !== 2),
    [],
  );
});

test('a restored call that had ended ends again, though another replica has moved it since', async (t) => {
  const { pass, relays, replace, selector, store } = rebuildScene(t);
  const { binding } = await selector.select(ask(call, { constraints: { target: 'r1' } }));
  await selector.answered(call, binding);
  await selector.release(call);
  const to = relays.find(({ relay }) => relay.id === 'r2')?.relay;
  const instance = to?.instance ?? '';
  const moved = { ...binding, state: 'answered', relayId: 'r2', instance, generation: 2 } as const;
  store.put(moved);
  replace();
  await pass(1000);
  t.like(store.bindings.get(call.key)?.binding, { relayId: 'r2', generation: 2, state: 'released' });
});

test('a call that has begun again goes on, though etcd is restored with its former end', async (t) => {
  const { clock, inquiry, pass, replace, selector, store } = rebuildScene(t);
  const { binding } = await selector.select(ask(call, { constraints: { target: 'r1' } }));
  await selector.answered(call, binding);
  await selector.release(call);
  const { binding: ended, revision } = store.bindings.get(call.key) as StoredBinding;
  clock.advance(1000);
  const again = await selector.select(ask(call, { constraints: { target: 'r1' } }));
  await selector.answered(call, again.binding);
  inquiry.carry('r1', call);
  store.bindings.set(call.key, { binding: ended, revision });
  replace(revision);
  await pass(1000);
  const { beginning, generation } = again.binding;
  t.like(store.bindings.get(call.key)?.binding, { state: 'answered', relayId: 'r1', beginning, generation });
});

test('a call that has ended and begun again here without etcd is not ended where another replica goes on with it', async (t) => {
  const { during, inquiry, pass, replace, selector, store } = rebuildScene(t);
  const { binding } = await selector.select(ask(call, { constraints: { target: 'r1' } }));
  await selector.answered(call, binding);
  await selector.release(call);
  await during(async () => {
    t.is((await selector.select(ask(call))).binding.generation, 0);
  });
  store.put({ ...binding, state: 'answered' });
  inquiry.carry('r1', call);
  replace();
  await pass(1000);
  t.is(store.bindings.get(call.key)?.binding.state, 'answered');
});
