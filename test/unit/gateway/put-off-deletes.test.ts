import test, { type ExecutionContext } from 'ava';
import { HoldfastError } from '../../../services/domain/error.js';
import type { RegisteredRelay } from '../../../services/domain/relay.js';
import { deletion, knowsNone, offer, registered, scene, theCall } from './scene.js';

/** Deletes whose call could not be looked up when they came. */

/** The proxy has its ok after 400 ms. */
async function deletedWhileRegistryHangs(
  t: ExecutionContext,
  { ask, pass, router }: ReturnType<typeof scene>,
) {
  router.hangs = true;
  const reply = ask(deletion);
  await pass(400);
  t.is((await reply)['result'], 'ok');
}

test('a delete is answered ok in time though the registry hangs, and is carried out later', async (t) => {
  const made = scene(t);
  const { ask, clients, pass, router } = made;
  await ask(offer);
  await deletedWhileRegistryHangs(t, made);
  t.deepEqual(clients.log, ['r1 offer']);
  clients.tells = knowsNone;
  router.recover();
  await pass(50);
  t.deepEqual(clients.log, ['r1 offer', 'r1 query', 'r1 delete', 'r1 query']);
  t.deepEqual(router.released, ['call-1']);
});

test('a delete is answered ok though nothing is known of the relays yet', async (t) => {
  const { ask, pass, router, setNotReady, clients, clock } = scene(t);
  setNotReady('nothing was read from etcd yet');
  router.error = new HoldfastError('unavailable', 'etcd does not answer');
  t.is((await ask(deletion))['result'], 'ok');
  router.error = undefined;
  router.hasForgotten = true;
  router.bind(theCall, registered({ id: 'r1' }), { createdAtMs: clock.wallMs() - 10_000 });
  clients.tells = knowsNone;
  await pass(1000);
  t.deepEqual(clients.log, ['r1 query', 'r1 delete', 'r1 query']);
  t.deepEqual(router.released, ['call-1']);
});

test('a delete that cannot be looked up does not end a call that begins anew meanwhile', async (t) => {
  for (const hasForgotten of [false, true]) {
    const made = scene(t);
    const { ask, clients, pass, router, retries } = made;
    await ask(offer);
    router.hasForgotten = hasForgotten;
    await deletedWhileRegistryHangs(t, made);
    router.bind(theCall, registered({ id: 'r2' }), { beginning: 'another' });
    router.recover();
    await pass(130_000);
    t.deepEqual(clients.log, ['r1 offer', 'r2 query']);
    t.is(router.bindings.get(theCall.key)?.state, 'setup');
    t.is(retries.counters.canceled, 1);
  }
});

test('nor one that has begun again in the same binding: its relay has heard of it since', async (t) => {
  for (const [signaledAfterMs, isEnded] of [
    [-5000, true],
    [5000, false],
  ] as const) {
    const made = scene(t);
    const { ask, clients, clock, pass, router } = made;
    await ask(offer);
    router.hasForgotten = true;
    router.bind(theCall, registered({ id: 'r1' }), { createdAtMs: clock.wallMs() - 10_000 });
    const lastSignal = Math.floor((clock.wallMs() + signaledAfterMs) / 1000);
    clients.tells = () => ({ result: 'ok', 'last signal': lastSignal });
    await deletedWhileRegistryHangs(t, made);
    await pass(10_000);
    router.recover();
    await pass(50);
    t.is(clients.log.includes('r1 delete'), isEnded);
  }
});

test('what a relay has heard by a clock that is ahead of the one here says nothing', async (t) => {
  const made = scene(t);
  const { ask, clients, clock, pass, router } = made;
  await ask(offer);
  router.hasForgotten = true;
  router.bind(theCall, registered({ id: 'r1' }), { createdAtMs: clock.wallMs() - 10_000 });
  const lastSignal = Math.floor((clock.wallMs() + 90_000) / 1000);
  clients.tells = () => ({ result: 'ok', 'last signal': lastSignal });
  await deletedWhileRegistryHangs(t, made);
  router.recover();
  await pass(50);
  t.true(clients.log.includes('r1 delete'));
});

test('a delete finds a call that another replica has promised without etcd, once it is written', async (t) => {
  for (const [awayForMs, writtenAfterMs] of [
    [0, 0],
    [0, 3000],
    [30_000, 1000],
  ] as const) {
    const { ask, pass, router, clients, clock } = scene(t);
    clients.tells = knowsNone;
    const createdAtMs = clock.wallMs() - 3;
    router.error = new HoldfastError('no-relay', 'none is registered yet');
    t.is((await ask(deletion))['result'], 'ok');
    await pass(awayForMs);
    router.error = undefined;
    await pass(writtenAfterMs);
    router.bind(theCall, registered({ id: 'r1' }), { createdAtMs, beginning: 'of another replica' });
    await pass(10_000);
    t.true(clients.log.includes('r1 delete'));
    t.deepEqual(router.released, ['call-1']);
  }
});

test('or on the relay that carries it, if whoever had promised it is gone', async (t) => {
  const { ask, pass, router, clients, clock } = scene(t);
  const lastSignal = Math.floor(clock.wallMs() / 1000) - 5;
  clients.tells = () => ({ result: 'ok', 'last signal': lastSignal });
  router.error = new HoldfastError('no-relay', 'none is registered yet');
  await ask(deletion);
  router.error = undefined;
  router.carrier = registered({ id: 'r2' });
  await pass(20_000);
  t.true(clients.log.includes('r2 delete'));
});

test('a call that was deleted without etcd is released later, and its relay is not told twice', async (t) => {
  for (const hasBegunAnew of [false, true]) {
    const { ask, clients, pass, router } = scene(t);
    await ask(offer);
    router.freshness = 'provisional';
    clients.tells = hasBegunAnew ? () => ({ result: 'ok' }) : knowsNone;
    t.is((await ask(deletion))['result'], 'ok');
    router.freshness = 'fresh';
    await pass(5000);
    t.is(clients.log.filter((line) => line === 'r1 delete').length, 1);
    t.is(router.bindings.get(theCall.key)?.state, hasBegunAnew ? 'setup' : 'released');
  }
});

test('a call that was deleted where it was promised is deleted where it is, once etcd tells', async (t) => {
  const { ask, clients, clock, pass, router } = scene(t);
  await ask(offer);
  router.freshness = 'provisional';
  clients.tells = knowsNone;
  await ask(deletion);
  await pass(5000);
  router.freshness = 'fresh';
  const createdAtMs = clock.wallMs() - 10_000;
  router.bind(theCall, registered({ id: 'r2' }), { createdAtMs, beginning: 'of another replica' });
  await pass(5000);
  t.is(clients.log.filter((line) => line === 'r2 delete').length, 1);
});

test('a call on a silent relay that was deleted where it was promised ends where another replica has written it', async (t) => {
  const { ask, clients, clock, pass, router } = scene(t);
  await ask(offer);
  const lastSignal = Math.floor(clock.wallMs() / 1000);
  router.freshness = 'provisional';
  clients.tells = () => 'silent';
  await pass(2000);
  const reply = ask(deletion);
  await pass(5000);
  t.is((await reply)['result'], 'ok');
  router.freshness = 'fresh';
  clients.tells = () => ({ result: 'ok', 'last signal': lastSignal });
  clients.log.length = 0;
  router.bind(theCall, registered({ id: 'r1' }), {
    createdAtMs: clock.wallMs(),
    beginning: 'of another replica',
  });
  await pass(10_000);
  t.true(clients.log.includes('r1 delete'));
});

test('a relay that was away when a deletion could at last be looked up is told when it is back', async (t) => {
  const made = scene(t);
  const { ask, clients, pass, router } = made;
  await ask(offer);
  await deletedWhileRegistryHangs(t, made);
  const away = router.relays.shift() as RegisteredRelay;
  clients.tells = knowsNone;
  router.recover();
  await pass(3000);
  t.deepEqual(router.released, ['call-1']);
  router.relays.unshift(away);
  await pass(5000);
  t.deepEqual(clients.log, ['r1 offer', 'r1 query', 'r1 delete', 'r1 query']);
});

test('a delete that cannot be looked up does not end a call that was released and began again since', async (t) => {
  const made = scene(t);
  const { ask, clients, clock, pass, router } = made;
  await ask(offer);
  router.hasForgotten = true;
  const createdAtMs = clock.wallMs() - 10_000;
  await deletedWhileRegistryHangs(t, made);
  const begunAgainAtMs = clock.wallMs();
  router.bind(theCall, registered({ id: 'r1' }), { beginning: 'another', createdAtMs, begunAgainAtMs });
  router.recover();
  await pass(5000);
  t.deepEqual(clients.log, ['r1 offer', 'r1 query']);
});
