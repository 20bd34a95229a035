import type { Binding } from '../../../services/domain/binding.js';
import { parseCall } from '../../../services/domain/call.js';
import type { Answer } from '../../../services/selection/requests.js';
import { behaviors } from '../../support/etcd.js';
import { FakeInquiry } from '../../support/fake-inquiry.js';
import { ask, eventually, where } from '../../support/registry.js';
import { beginHistory, bindingOf, ids, rebuiltBy, restored, wipe } from './history.js';
import { aMove, scene } from './scene.js';

/** What becomes of calls when etcd is restored from an older state. */

const behavior = behaviors();

behavior('a call that had ended stays ended although its relay is gone', async (t, client, etcd) => {
  const { a, keys } = await scene(t, client, etcd, { replicas: 1 });
  const call = parseCall('over');
  await a.selector.select(ask(call, { constraints: { target: 'r1' } }));
  const { kvs } = await client.kv.range({ key: keys.call(call) });
  await a.selector.release(call);
  await client.kv.put({ key: keys.call(call), value: kvs[0]?.value ?? Buffer.alloc(0) });
  await client.kv.deleteRange({ key: keys.relay('default', 'r1') });
  await eventually(() => a.directory.get('default', 'r1') === undefined, 'news of the relay');
  const told = rebuiltBy(a);
  beginHistory(a, restored);
  await told;
  t.is((await bindingOf(a, 'over'))?.state, 'released');
});

behavior('calls that ended after the state that etcd was restored to stay ended', async (t, client, etcd) => {
  const inquiry = new FakeInquiry();
  const { a, b, keys } = await scene(t, client, etcd, { inquiry });
  const snapshot: { key: Buffer; value: Buffer }[] = [];
  // One replica has heard of the release, or none remembers the call at all; another lives on.
  const [released, unknown, alive] = [ids('released', 10), ids('unknown', 10), ids('alive', 10)];
  for (const id of [...released, ...unknown, ...alive]) {
    const { binding } = await a.selector.select(ask(id));
    await a.selector.answered(parseCall(id), binding);
    snapshot.push(...(await client.kv.range({ key: keys.call(parseCall(id)) })).kvs);
    if (alive.includes(id)) {
      inquiry.carry(binding.relayId, id);
    }
  }
  for (const id of released) {
    await a.selector.release(parseCall(id));
  }
  for (const id of unknown) {
    a.cache.forget(parseCall(id, '', 'default'));
  }
  await wipe(client, keys);
  for (const { key, value } of snapshot) {
    await client.kv.put({ key, value });
  }
  for (const { selector } of [a, b]) {
    selector.beginHistory(restored);
  }
  for (const id of [...released, ...unknown, ...alive]) {
    for (const { selector } of [a, b]) {
      const state = (await selector.lookup(parseCall(id)))?.binding.state;
      t.is(state === 'answered', alive.includes(id), `${id} is ${state} at once`);
    }
  }
  const told = rebuiltBy(a);
  beginHistory(a, restored);
  await told;
  for (const id of [...released, ...unknown, ...alive]) {
    t.is((await bindingOf(a, id))?.state, alive.includes(id) ? 'answered' : 'released', id);
  }
});

behavior('a relay that is silent when etcd is restored is asked again', async (t, client, etcd) => {
  const inquiry = new FakeInquiry();
  const { a, keys } = await scene(t, client, etcd, { replicas: 1, inquiry });
  const call = parseCall('over');
  const { binding } = await a.selector.select(ask(call, { constraints: { target: 'r1' } }));
  await a.selector.answered(call, binding);
  a.cache.forget(parseCall('over', '', 'default'));
  inquiry.silent.add('r1');
  beginHistory(a, restored);
  await eventually(() => inquiry.asked > 2, 'a relay that is asked more than once');
  t.is((await bindingOf(a, 'over'))?.state, 'answered');
  inquiry.silent.delete('r1');
  await eventually(async () => (await bindingOf(a, 'over'))?.state === 'released', 'end of the call');
  t.is((await client.kv.range({ key: keys.call(call) })).kvs.length, 1);
});

behavior('a restored binding of a call that moved unheard is no end of the call', async (t, client, etcd) => {
  const inquiry = new FakeInquiry();
  const { a } = await scene(t, client, etcd, { replicas: 1, inquiry });
  const call = parseCall('moved-unheard');
  const { binding } = await a.selector.select(ask(call, { constraints: { target: 'r1' } }));
  await a.selector.answered(call, binding);
  a.cache.forget(parseCall('moved-unheard', '', 'default'));
  inquiry.carry('r2', 'moved-unheard');
  a.selector.beginHistory(restored);
  await t.throwsAsync(a.selector.lookup(call), { message: /being written again/ });
  const found = await a.selector.lookup(call, { adopts: true });
  t.like(found?.binding, { relayId: 'r2', state: 'answered', generation: 2 });
});

behavior('a generation that came back is left behind at once', async (t, client, etcd) => {
  const inquiry = new FakeInquiry();
  const { a, b, keys } = await scene(t, client, etcd, { inquiry });
  const call = parseCall('restored');
  const first = await a.selector.select(ask(call));
  // One in setup might have been bound since.
  await a.selector.answered(call, first.binding);
  const [snapshot] = (await client.kv.range({ key: keys.call(call) })).kvs;
  const moved = await a.selector.move(aMove({ call }));
  const answered = await a.selector.answered(call, moved.binding);
  inquiry.carry(moved.binding.relayId, 'restored');
  await client.kv.put({ key: keys.call(call), value: snapshot?.value ?? Buffer.alloc(0) });
  for (const { selector } of [a, b]) {
    selector.beginHistory(restored);
  }
  t.like(await a.selector.lookup(call), { freshness: 'stale', binding: answered?.binding as Binding });
  await t.throwsAsync(b.selector.lookup(call), { message: /being written again/ });
  t.is(where((await b.selector.lookup(call, { adopts: true })) as Answer), where(moved));
  t.is(where(await b.selector.select(ask(call, { inDialog: true }))), where(moved));
});

behavior('a call that is found on its relay is the one that is remembered', async (t, client, etcd) => {
  const inquiry = new FakeInquiry();
  const { a, b, keys } = await scene(t, client, etcd, { inquiry });
  const call = parseCall('restored');
  const first = await a.selector.select(ask(call));
  const [snapshot] = (await client.kv.range({ key: keys.call(call) })).kvs;
  const { binding } = (await b.selector.answered(call, first.binding)) as Answer;
  inquiry.carry(binding.relayId, 'restored');
  await client.kv.put({ key: keys.call(call), value: snapshot?.value ?? Buffer.alloc(0) });
  b.selector.beginHistory(restored);
  const again = await b.selector.select(ask(call, { inDialog: true }));
  const { state, beginning, createdAtMs } = binding;
  t.like(again.binding, { state, beginning, createdAtMs, generation: 1 });
});
