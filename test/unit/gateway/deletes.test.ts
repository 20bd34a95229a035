import test, { type ExecutionContext } from 'ava';
import type { NgDictionary } from '../../../services/control/ng/message.js';
import type { RegisteredRelay } from '../../../services/domain/relay.js';
import { turns } from '../../support/clock.js';
import { deletion, type FakeRelays, knowsNone, offer, registered, scene, theCall } from './scene.js';

test('a delete that the relay does not answer releases the call, and is tried again', async (t) => {
  const { ask, clients, pass, router, retries } = scene(t);
  await ask(offer);
  clients.tells = () => 'silent';
  const reply = ask(deletion);
  await pass(400);
  t.is((await reply)['result'], 'ok');
  t.deepEqual(router.released, ['call-1'], 'what the proxy offers from now on is a new beginning');
  await pass(400);
  clients.tells = knowsNone;
  await pass(2000);
  t.is(clients.log.filter((line) => line === 'r1 delete').length, 3);
  t.is(router.bindings.get(theCall.key)?.state, 'released');
  t.is(retries.size, 0);
  t.is(retries.counters.abandoned, 0);
});

test('a deletion that was put off does not end a call that has begun anew at another replica', async (t) => {
  const { ask, clients, pass, router, retries } = scene(t);
  await ask(offer);
  clients.tells = () => 'silent';
  const reply = ask(deletion);
  await pass(800);
  await reply;
  const before = clients.asked.length;
  router.bind(theCall, registered({ id: 'r1' }), { beginning: 'another' });
  clients.tells = () => ({ result: 'ok' });
  await pass(130_000);
  t.is(clients.asked.length, before, 'nothing is sent to the relay any more');
  t.is(router.bindings.get(theCall.key)?.state, 'setup');
  t.is(retries.counters.canceled, 1);
  t.is(retries.counters.abandoned, 0);
});

test('nor does the clean-up after a failover end a call that has come back', async (t) => {
  const { ask, clients, pass, router, retries } = scene(t);
  clients.tells = (relay) => (relay === 'r1' ? 'silent' : { result: 'ok' });
  const reply = ask(offer);
  await pass(250);
  await reply;
  await pass(400);
  t.deepEqual(clients.log.toSorted(), ['r1 delete', 'r1 offer', 'r2 offer']);
  router.bind(theCall, registered({ id: 'r1' }), { generation: 3 });
  clients.tells = () => ({ result: 'ok' });
  await pass(10_000);
  t.is(clients.asked.length, 3);
  t.is(retries.counters.canceled, 1);
});

test('a silent relay that begins the call after it was told to end it is told once more', async (t) => {
  const { ask, clients, pass } = scene(t);
  const isDeletion = (line: string) => line === 'r1 delete';
  clients.tells = (relay, { command }) => {
    if (relay === 'r1' && command === 'offer') {
      return 'silent';
    }
    const hadNothing = command === 'delete' && clients.log.filter(isDeletion).length === 1;
    return { result: 'ok', ...(hadNothing ? { warning: "Call-ID not found or tags didn't match" } : {}) };
  };
  const reply = ask(offer);
  await pass(250);
  await reply;
  await turns();
  t.is(clients.log.filter(isDeletion).length, 1);
  await pass(5000);
  t.is(clients.log.filter(isDeletion).length, 2);
});

test('a silent relay that is registered again as it was is told to end the call', async (t) => {
  const { ask, clients, pass, router } = scene(t);
  const [frozen] = router.relays;
  clients.tells = (relay, { command }) => {
    if (relay === 'r1' && command === 'offer') {
      router.relays.shift();
      return 'silent';
    }
    return { result: 'ok' };
  };
  const reply = ask(offer);
  await pass(250);
  await reply;
  await pass(3000);
  t.deepEqual(clients.log, ['r1 offer', 'r2 offer']);
  router.relays.unshift(frozen as RegisteredRelay);
  await pass(5000);
  t.deepEqual(clients.log, ['r1 offer', 'r2 offer', 'r1 delete']);
});

/** A call whose relay, r1, is away when it is deleted. */
async function deletedWhileAway(t: ExecutionContext) {
  const made = scene(t);
  await made.ask(offer);
  const away = made.router.relays.shift() as RegisteredRelay;
  made.clients.tells = knowsNone;
  t.is((await made.ask(deletion))['result'], 'ok');
  await turns();
  t.deepEqual(made.router.released, ['call-1'], 'what the proxy offers from now on is a new beginning');
  await made.pass(3000);
  t.deepEqual(made.clients.log, ['r1 offer']);
  return { ...made, comeBack: (relay = away) => made.router.relays.unshift(relay) };
}

test('a relay that was away when a call was deleted is told to end it when it is back', async (t) => {
  const { clients, comeBack, pass, retries } = await deletedWhileAway(t);
  comeBack();
  await pass(5000);
  t.deepEqual(clients.log, ['r1 offer', 'r1 query', 'r1 delete', 'r1 query']);
  t.is(retries.size, 0);
});

test('but not to end one that has begun again in the same binding meanwhile', async (t) => {
  const { clients, clock, comeBack, pass, router } = await deletedWhileAway(t);
  const lastSignal = Math.ceil(clock.wallMs() / 1000);
  clients.tells = () => ({ result: 'ok', 'last signal': lastSignal });
  router.bind(theCall, registered({ id: 'r1' }), {
    beginning: router.bindings.get(theCall.key)?.beginning ?? '',
  });
  comeBack();
  await pass(5000);
  t.deepEqual(clients.log, ['r1 offer', 'r1 query']);
  t.is(router.bindings.get(theCall.key)?.state, 'setup');
  clients.tells = knowsNone;
  await pass(32_000);
  t.is(router.bindings.get(theCall.key)?.state, 'released', 'once its relay has ended it');
});

test('also if nothing is left of the binding by then', async (t) => {
  const { clients, comeBack, pass, router } = await deletedWhileAway(t);
  router.bindings.clear();
  comeBack();
  await pass(5000);
  t.is(clients.log[1], 'r1 delete');
});

test('and if the call goes on there, of which a branch was deleted, it is answered still', async (t) => {
  const { clients, comeBack, pass, router } = await deletedWhileAway(t);
  clients.tells = () => ({ result: 'ok' });
  comeBack();
  await pass(5000);
  t.is(router.bindings.get(theCall.key)?.state, 'setup');
});

test('but not if the call has begun anew', async (t) => {
  const { ask, clients, comeBack, pass, retries, router } = await deletedWhileAway(t);
  comeBack();
  await ask(offer);
  await pass(130_000);
  t.deepEqual(clients.log, ['r1 offer', 'r1 offer']);
  t.is(router.bindings.get(theCall.key)?.state, 'setup');
  t.is(retries.counters.canceled, 1);
});

test('nor if it has restarted, or stays away', async (t) => {
  for (const isBack of [true, false]) {
    const { clients, comeBack, pass, retries } = await deletedWhileAway(t);
    if (isBack) {
      comeBack(registered({ id: 'r1', instance: 'another' }));
    }
    await pass(60_000);
    t.deepEqual(clients.log, ['r1 offer']);
    t.is(retries.size, 0);
    t.is(retries.counters.abandoned, 0);
  }
});

test('a call that begins anew while its relay is silent is not ended by the deletion before', async (t) => {
  const { ask, clients, pass, router, retries } = scene(t);
  await ask(offer);
  clients.tells = (_, { command }) => (command === 'delete' ? 'silent' : { result: 'ok' });
  const reply = ask(deletion);
  await pass(400);
  await reply;
  await pass(400);
  t.is((await ask(offer))['result'], 'ok');
  const before = clients.asked.length;
  await pass(130_000);
  t.is(clients.asked.length, before);
  t.is(router.bindings.get(theCall.key)?.state, 'setup');
  t.is(retries.counters.canceled, 1);
  t.is(retries.counters.abandoned, 0);
});

test('a binding ends when the relay does not know the call any more, not with the delete', async (t) => {
  const { ask, clients, pass, router } = scene(t);
  await ask(offer);
  let ended = false;
  clients.tells = (_, { command }) =>
    command === 'query' && ended ? { result: 'error', 'error-reason': 'Unknown call-id' } : { result: 'ok' };
  await ask(deletion);
  await turns();
  t.deepEqual(router.released, []);
  ended = true;
  await pass(32_000);
  t.deepEqual(router.released, ['call-1']);
});

test('also one that falls silent just after it has ended the call', async (t) => {
  const { ask, clients, pass, router, retries } = scene(t);
  await ask(offer);
  clients.tells = (_, { command }) => (command === 'query' ? 'silent' : { result: 'ok' });
  await ask(deletion);
  await pass(3000);
  t.deepEqual(router.released, []);
  clients.tells = knowsNone;
  await pass(10_000);
  t.deepEqual(router.released, ['call-1']);
  await pass(60_000);
  t.is(retries.size, 0);
  t.is(retries.counters.abandoned, 0);
});

test('a call that its relay begins again after it was asked for it goes on', async (t) => {
  const { ask, clients, pass, router } = scene(t);
  await ask(offer);
  clients.tells = knowsNone;
  await ask(deletion);
  await turns();
  t.is(router.bindings.get(theCall.key)?.state, 'released');
  // What was offered before that reaches the relay.
  clients.tells = () => ({ result: 'ok' });
  await pass(1000);
  t.is(router.bindings.get(theCall.key)?.state, 'setup');
});

test('an answered call of which a relay has ended one branch late is answered still', async (t) => {
  const { ask, clients, pass, router } = scene(t);
  await ask(offer);
  await ask({ command: 'answer', 'call-id': 'call-1', 'from-tag': 'f', 'to-tag': 't' });
  clients.tells = () => 'silent';
  const reply = ask({ ...deletion, 'to-tag': 'other' });
  await pass(400);
  await reply;
  t.is(router.bindings.get(theCall.key)?.state, 'released');
  clients.tells = () => ({ result: 'ok' });
  await pass(2000);
  t.is(router.bindings.get(theCall.key)?.state, 'answered');
  clients.tells = knowsNone;
  await pass(32_000);
  t.is(router.bindings.get(theCall.key)?.state, 'released');
});

test('a delete that changes nothing is no end', async (t) => {
  const { ask, clients, pass, router } = scene(t);
  await ask(offer);
  const deletedNothing = { result: 'ok', warning: "Call-ID not found or tags didn't match" };
  clients.tells = (_, { command }) => (command === 'delete' ? deletedNothing : { result: 'ok' });
  await ask(deletion);
  await pass(40_000);
  t.deepEqual(clients.log, ['r1 offer', 'r1 delete', 'r1 query']);
  t.deepEqual(router.released, [], 'the relay carries it');
});

/** When a call whose relay carries on with it for so long after its delete is released, s. */
async function releasedAfter(t: ExecutionContext, seconds: number, more: NgDictionary = {}): Promise<number> {
  const { ask, clients, clock, pass, router } = scene(t);
  await ask(offer);
  const endsAtMs = clock.monotonicMs() + seconds * 1000;
  clients.tells = (...asked) => (clock.monotonicMs() < endsAtMs ? { result: 'ok' } : knowsNone(...asked));
  await ask({ ...deletion, ...more });
  for (let passed = 0; passed <= 600; passed++) {
    if (router.released.length > 0) {
      return passed;
    }
    await pass(1000);
  }
  return Number.POSITIVE_INFINITY;
}

test('a call is released when its relay has carried on with it for as long as the delete says', async (t) => {
  t.is(await releasedAfter(t, 1, { 'delete-delay': 1 }), 3);
  t.is(await releasedAfter(t, 60, { 'delete-delay': '60' }), 62);
});

test('or as long as the relay is configured to, where the delete says nothing', async (t) => {
  t.is(await releasedAfter(t, 30), 32);
  t.is(await releasedAfter(t, 60), 96);
  t.is(await releasedAfter(t, 300), Number.POSITIVE_INFINITY, 'its binding ends with its TTL');
});

test('that a relay knows none of the names in a delete is no end where the call may have others there', async (t) => {
  const { ask, clients, memory, pass, router } = scene(t);
  await ask(offer);
  const isUnknown: FakeRelays['tells'] = (...asked) =>
    asked[1].command === 'delete'
      ? { result: 'ok', warning: "Call-ID not found or tags didn't match" }
      : knowsNone(...asked);
  clients.tells = isUnknown;
  memory.isNamedBy = () => false;
  await ask(deletion);
  await pass(40_000);
  t.deepEqual(router.released, []);
  memory.isNamedBy = () => true;
  await ask(deletion);
  await turns();
  t.deepEqual(router.released, ['call-1']);
});
