import test from 'ava';
import { parseCall } from '../../../../services/domain/call.js';
import { aRelay, ask, errorOf } from '../../../support/registry.js';
import { rebuildScene } from './scene.js';

/** Requests for calls that etcd has lost and this replica does not remember. */

const call = parseCall('call-1', '', 'default');
const reinvite = () => ask(call, { maybeCarried: true, constraints: { target: 'r3' } });

test('a call in progress is not placed anew while a relay that may carry it is silent', async (t) => {
  const { inquiry, pass, replace, selector } = rebuildScene(t);
  inquiry.carry('r2', 'call-1');
  inquiry.silent.add('r2');
  replace();
  t.is(await errorOf(selector.select(reinvite())), 'relay-awaited');
  inquiry.silent.delete('r2');
  await pass(1000);
  t.like((await selector.select(reinvite())).binding, { relayId: 'r2', state: 'answered' });
});

test('nor while too many calls are looked for', async (t) => {
  const { inquiry, pass, replace, selector } = rebuildScene(t);
  inquiry.carry('r2', 'call-1');
  replace();
  const others = Array.from({ length: 1000 }, (_, i) =>
    selector.lookup(parseCall(`no-${i}`), { adopts: true }),
  );
  t.is(await errorOf(selector.select(reinvite())), 'relay-awaited');
  await Promise.all(others);
  await pass(1000);
  t.is((await selector.select(reinvite())).binding.relayId, 'r2');
});

test('a new call is placed all the same, and so is one that names a dialog when nothing was lost lately', async (t) => {
  const { inquiry, pass, replace, selector } = rebuildScene(t);
  inquiry.silent.add('r2');
  replace();
  const invite = ask('call-2', { constraints: { target: 'r3' } });
  t.like((await selector.select(invite)).binding, { relayId: 'r3', state: 'setup' });
  await pass(6000);
  t.is((await selector.select(reinvite())).binding.relayId, 'r3');
});

test('a call in setup on a relay that is gone, which was answered on another one, stays on that one', async (t) => {
  const { inquiry, relays, selector } = rebuildScene(t);
  const { binding } = await selector.select(ask(call, { constraints: { target: 'r1' } }));
  const gone = relays.findIndex(({ relay }) => relay.id === 'r1');
  relays.splice(gone, 1, { relay: aRelay({ id: 'r1', instance: 'another' }), revision: 2 });
  inquiry.carry('r2', 'call-1');
  const { beginning } = binding;
  t.like((await selector.select(reinvite())).binding, {
    ...{ relayId: 'r2', state: 'answered', generation: 2, beginning },
  });
});

test('a call whose release etcd has lost begins anew, unless its relay carries it', async (t) => {
  for (const isCarried of [true, false]) {
    const { inquiry, replace, selector, store } = rebuildScene(t);
    const { binding } = await selector.select(ask(call, { constraints: { target: 'r2' } }));
    await selector.answered(call, binding);
    if (isCarried) {
      inquiry.carry('r2', 'call-1');
    }
    store.bindings.clear();
    replace();
    const again = await selector.select(ask(call, { constraints: { target: 'r3' } }));
    t.like(
      again.binding,
      isCarried ? { relayId: 'r2', state: 'answered' } : { relayId: 'r3', state: 'setup' },
    );
  }
});

test('nor does a request within it go on with a call that was in setup when last seen, and that its relay does not know', async (t) => {
  for (const isCarried of [true, false]) {
    const { inquiry, replace, selector, store } = rebuildScene(t);
    const { binding } = await selector.select(ask(call, { constraints: { target: 'r2' } }));
    if (isCarried) {
      inquiry.carry('r2', 'call-1');
    }
    store.bindings.clear();
    replace();
    const again = await selector.select(ask(call, { inDialog: true }));
    t.is(again.binding.beginning === binding.beginning, isCarried);
  }
});

test('a call being set up elsewhere goes to the relay that was answered, though only its setup was promised here', async (t) => {
  for (const isAnswered of [true, false]) {
    const { during, inquiry, selector, store } = rebuildScene(t);
    await during(async () => {
      t.is((await selector.select(ask(call, { constraints: { target: 'r2' } }))).binding.relayId, 'r2');
    });
    // Another replica has placed it meanwhile.
    const { binding } = await selector.select(ask('call-2', { constraints: { target: 'r3' } }));
    store.put({ ...binding, call });
    inquiry.carry('r2', call, 0, isAnswered);
    await selector.reconcile();
    const now = (await selector.select(ask(call))).binding;
    t.like(now, isAnswered ? { relayId: 'r2', state: 'answered', generation: 2 } : { relayId: 'r3' });
  }
});

test('a call that its relay was offered again after a restart stays there; one that it does not know moves', async (t) => {
  for (const state of ['setup', 'answered'] as const) {
    for (const isKnown of [true, false]) {
      const { inquiry, relays, selector } = rebuildScene(t);
      const { binding } = await selector.select(ask(call, { constraints: { target: 'r2' } }));
      if (state === 'answered') {
        await selector.answered(call, binding);
      }
      const at = relays.findIndex(({ relay }) => relay.id === 'r2');
      relays.splice(at, 1, { relay: aRelay({ id: 'r2', instance: 'another' }), revision: 2 });
      if (isKnown) {
        inquiry.carry('r2', 'call-1');
        // As a proxy's delete looks it up.
        t.is((await selector.lookup(call, { adopts: true }))?.relay?.relay.instance, 'another');
      }
      const again = await selector.select(reinvite());
      t.like(again.binding, { relayId: isKnown ? 'r2' : 'r3', generation: 2, beginning: binding.beginning });
      t.is(again.binding.state, state);
    }
  }
});

test('a call that was promised without etcd began with the promise', async (t) => {
  const { clock, during, pass, selector } = rebuildScene(t);
  const promisedAtMs = clock.wallMs();
  await during(async () => {
    await selector.select(ask(call));
    await pass(3000);
  });
  const { binding, freshness } = await selector.select(ask(call));
  t.is(freshness, 'fresh');
  t.is(binding.createdAtMs, promisedAtMs);
});

test('a call that was promised without etcd, and answered elsewhere, stays where media flow', async (t) => {
  const { during, inquiry, selector } = rebuildScene(t);
  await during(async () => {
    const invite = ask(call, { constraints: { target: 'r1' } });
    t.like(await selector.select(invite), { freshness: 'provisional', binding: { relayId: 'r1' } });
    inquiry.carry('r1', 'call-1');
    inquiry.carry('r2', 'call-1', 50);
    t.like((await selector.select(ask(call, { maybeCarried: true }))).binding, {
      ...{ relayId: 'r2', state: 'answered' },
    });
  });
  await selector.reconcile();
  t.like((await selector.select(ask(call, { maybeCarried: true }))).binding, {
    ...{ relayId: 'r2', state: 'answered' },
  });
});

test('and where it was promised, if none have come yet', async (t) => {
  const { during, inquiry, selector } = rebuildScene(t);
  await during(async () => {
    await selector.select(ask(call, { constraints: { target: 'r2' } }));
    inquiry.carry('r1', 'call-1');
    inquiry.carry('r2', 'call-1');
    t.is((await selector.select(ask(call, { maybeCarried: true }))).binding.relayId, 'r2');
  });
});

test('a call is bound to the relay that has answered it, though the replica that promised that one is gone', async (t) => {
  for (const isPromisedHere of [true, false]) {
    const { during, inquiry, selector } = rebuildScene(t);
    await during(async () => {
      inquiry.carry('r2', 'call-1', 50);
      if (isPromisedHere) {
        t.is((await selector.select(ask(call))).binding.relayId, 'r1');
      }
    });
    selector.beginHistory({ kind: 'outage', lostForMs: 500 });
    await selector.reconcile();
    t.like((await selector.select(ask(call))).binding, { relayId: 'r2', state: 'answered', generation: 1 });
  }
});

test('a promise for a setup is kept, though another relay was offered the call and has not answered', async (t) => {
  const { during, inquiry, selector } = rebuildScene(t);
  await during(async () => {
    t.is((await selector.select(ask(call))).binding.relayId, 'r1');
    inquiry.carry('r2', 'call-1', 0, false);
  });
  await selector.reconcile();
  t.like((await selector.select(ask(call))).binding, { relayId: 'r1', state: 'setup', generation: 1 });
});

test('a call that was released, and that its relay carries again, goes on', async (t) => {
  for (const isCarried of [true, false]) {
    const { inquiry, selector } = rebuildScene(t);
    const { binding } = await selector.select(ask(call, { constraints: { target: 'r1' } }));
    await selector.answered(call, binding);
    await selector.release(call);
    if (isCarried) {
      inquiry.carry('r1', 'call-1');
    }
    const again = (await selector.select(ask(call, { inDialog: true }))).binding;
    t.like(again, { relayId: 'r1', generation: 1, state: isCarried ? 'answered' : 'released' });
    t.is(again.beginning === binding.beginning, !isCarried);
  }
});

test('a call in progress that another replica has begun to set up elsewhere stays on the relay that was answered', async (t) => {
  for (const use of [{ maybeCarried: true }, { inDialog: true }]) {
    for (const known of ['elsewhere', 'on both', 'nowhere']) {
      const { inquiry, selector } = rebuildScene(t);
      // The replica that promised r2 without etcd is gone.
      await selector.select(ask(call, { constraints: { target: 'r1' } }));
      if (known !== 'nowhere') {
        // rtpproxies do not tell whether a call was answered.
        inquiry.carry('r2', 'call-1', 0, false);
      }
      if (known === 'on both') {
        inquiry.carry('r1', 'call-1');
      }
      const { binding } = await selector.select(ask(call, use));
      const stays = { relayId: 'r2', state: 'answered', generation: 2 };
      t.like(binding, known === 'elsewhere' ? stays : { relayId: 'r1', generation: 1 }, known);
    }
  }
});

test('and is looked for where its relay says that it does not know it', async (t) => {
  const { inquiry, selector } = rebuildScene(t);
  const { binding } = await selector.select(ask(call, { constraints: { target: 'r1' } }));
  inquiry.carry('r2', 'call-1');
  t.is((await selector.lookup(call, { adopts: true }))?.binding.relayId, 'r1');
  const deniedBy = binding.instance;
  t.is((await selector.lookup(call, { adopts: true, deniedBy: 'another' }))?.binding.relayId, 'r1');
  t.like((await selector.lookup(call, { adopts: true, deniedBy }))?.binding, {
    ...{ relayId: 'r2', state: 'answered', generation: 2 },
  });
});

test('a release ends an older state of the call that another replica has written again', async (t) => {
  const { replace, selector, store } = rebuildScene(t);
  const { binding } = await selector.select(ask(call, { constraints: { target: 'r2' } }));
  await selector.answered(call, binding);
  store.bindings.clear();
  replace();
  store.put(binding);
  t.true(await selector.release(call));
  t.is(store.bindings.get(call.key)?.binding.state, 'released');
});

test('a release ends what a restored etcd has of a call that has moved since, past the generation of the move', async (t) => {
  const { cache, replace, selector, store } = rebuildScene(t);
  const { binding } = await selector.select(ask(call, { constraints: { target: 'r2' } }));
  const { revision } = store;
  cache.hearMove(call.key, { revision: revision + 1, generation: 4, relayId: 'r3' });
  replace(revision);
  t.false(await selector.release(call, { beginning: 'another' }));
  t.true(await selector.release(call, { beginning: binding.beginning }));
  t.like(store.bindings.get(call.key)?.binding, { state: 'released', generation: 5 });
});

test('a call in use that is found on a relay while etcd is away is bound there once etcd is back', async (t) => {
  for (const isUse of [true, false]) {
    const { during, inquiry, selector, store } = rebuildScene(t);
    inquiry.carry('r2', 'call-1');
    await during(async () => {
      const found = await selector.lookup(call, { adopts: true, predicts: true, isUse });
      t.is(found?.binding.relayId, 'r2');
    });
    await selector.goOn();
    t.is(store.bindings.get(call.key)?.binding.relayId, isUse ? 'r2' : undefined);
  }
});
