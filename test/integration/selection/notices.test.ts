import { type Binding, noticeLimits } from '../../../services/domain/binding.js';
import { parseCall } from '../../../services/domain/call.js';
import { behaviors } from '../../support/etcd.js';
import { ask, deleteRelay, type TestSelector } from '../../support/registry.js';
import { aMove, known, scene } from './scene.js';

/** What SIP proxies have asked to be told of a lost relay goes where the call goes, and is told by one replica. */

const behavior = behaviors();

async function withNotices({ selector }: TestSelector, instance: string): Promise<Binding[]> {
  const found: Binding[] = [];
  for await (const binding of selector.withNotices(instance)) {
    found.push(binding);
  }
  return found;
}

behavior('a binding has the last notices that uses of the call have brought', async (t, client, etcd) => {
  const { a, b } = await scene(t, client, etcd);
  const call = parseCall('told');
  await a.selector.select(ask(call, { notices: ['one'] }));
  // From the second use on it lives as long as a call.
  await a.selector.select(ask(call));
  const { refreshed } = a.selector.counters;
  await a.selector.select(ask(call, { notices: ['one'] }));
  await a.selector.select(ask(call));
  t.is(a.selector.counters.refreshed, refreshed, 'nothing is new');
  const { binding } = await b.selector.select(ask(call, { notices: ['two'] }));
  t.deepEqual(binding.notices, ['one', 'two']);
  const answered = await a.selector.answered(call, binding);
  t.deepEqual(answered?.binding.notices, ['one', 'two']);

  const many = Array.from({ length: noticeLimits.count }, (_, i) => `more-${i}`);
  const full = await a.selector.select(
    ask(call, { notices: [...many, 'x'.repeat(noticeLimits.length + 1)] }),
  );
  t.deepEqual(full.binding.notices, many);
  const moved = await a.selector.move(aMove({ call }));
  t.deepEqual(moved.binding.notices, many);

  await a.selector.release(call);
  t.deepEqual(await withNotices(b, moved.binding.instance), [], 'it has ended');
  const again = await b.selector.select(ask(call, { notices: ['anew'] }));
  t.deepEqual(again.binding.notices, ['anew']);
});

behavior('of two replicas one gets the notices of a call on a lost relay', async (t, client, etcd) => {
  const { a, b, selectors, registered, keys } = await scene(t, client, etcd, { relays: 2 });
  const calls = Array.from({ length: 40 }, (_, i) => parseCall(`lost-${i}`));
  for (const [i, call] of calls.entries()) {
    const request = ask(call, { constraints: { target: 'r1' }, notices: [`notice-${i}`] });
    await (i % 2 ? a : b).selector.select(request);
  }
  const [first] = await withNotices(a, 'life-of-r1');
  t.deepEqual(await a.selector.takeNotices(first as Binding), [], 'its relay is there');
  const [gone] = registered;
  if (gone) {
    await deleteRelay(client, keys, gone);
  }
  await known(selectors, 'r1', undefined);
  // One has moved with its next use.
  const [moved = ask('').call] = calls;
  await a.selector.select(ask(moved, { notices: ['notice-0'] }));

  const taken = await Promise.all(
    selectors.map(async (each) => {
      const bindings = await withNotices(each, 'life-of-r1');
      return (await Promise.all(bindings.map((binding) => each.selector.takeNotices(binding)))).flat();
    }),
  );
  t.deepEqual(
    taken.flat().sort(),
    calls
      .slice(1)
      .map((_, i) => `notice-${i + 1}`)
      .sort(),
  );
  t.deepEqual(await withNotices(b, 'life-of-r1'), []);
  const later = await b.selector.select(ask(calls[1] ?? '', { notices: ['notice-1'] }));
  t.like(later.binding, { relayId: 'r2', notices: ['notice-1'] });
});
