import test from 'ava';
import type { Binding } from '../../../services/domain/binding.js';
import { HoldfastError } from '../../../services/domain/error.js';
import type { RegisteredRelay } from '../../../services/domain/relay.js';
import { turns } from '../../support/clock.js';
import { offer, scene, sessionLimit, theCall } from './scene.js';

/** Offers that have no time left, because the registry was slow. */

test('a relay that had no time to answer is not silent: the call stays', async (t) => {
  const { ask, clients, pass, router } = scene(t);
  clients.tells = () => 'silent';
  router.hangs = true;
  const reply = ask(offer);
  await pass(700);
  router.recover();
  await pass(200);
  t.is((await reply)['error-reason'], sessionLimit);
  t.deepEqual(clients.log, ['r1 offer']);
  t.like(router.bindings.get(theCall.key), { relayId: 'r1', generation: 1 });
});

test('an offer that was given up asks no relay any more', async (t) => {
  const { ask, clients, pass, router } = scene(t);
  router.hangs = true;
  const reply = ask(offer);
  await pass(900);
  t.is((await reply)['error-reason'], sessionLimit);
  router.recover();
  await turns();
  t.deepEqual(clients.log, []);
});

test('a move that comes too late is not made; one that was made late ends nothing', async (t) => {
  const { ask, clients, pass, router } = scene(t);
  clients.tells = (_, { command }) => (command === 'offer' ? 'silent' : { result: 'ok' });
  const asked = ask(offer);
  await pass(200);
  router.hangs = true;
  await pass(700);
  t.is((await asked)['error-reason'], sessionLimit);
  t.is(router.moves.at(-1)?.deadlineMs, 1_000_850, 'which is when the proxy is told that no relay answers');
  router.recover();
  await pass(1000);
  t.is(router.bindings.get(theCall.key)?.relayId, 'r2', 'it was under way');
  t.deepEqual(clients.log, ['r1 offer'], 'another gateway may have set the call up there');
});

test('a call that its relay answers while another gateway moves it is bound where it was answered', async (t) => {
  const { ask, clients, router } = scene(t);
  await ask(offer);
  const { beginning } = router.bindings.get(theCall.key) ?? {};
  const moves = (begun: string | undefined) => () => {
    router.bind(theCall, router.relays[1] as RegisteredRelay, { generation: 2, beginning: begun ?? '' });
    return { result: 'ok' };
  };
  clients.tells = moves('another beginning');
  await ask({ ...offer, command: 'answer', 'to-tag': 't' });
  await turns();
  t.like(router.bindings.get(theCall.key), { relayId: 'r2', state: 'setup' }, 'that is another call');
  router.bind(theCall, router.relays[0] as RegisteredRelay, { beginning: beginning ?? '' });
  clients.tells = moves(beginning);
  await ask({ ...offer, command: 'answer', 'to-tag': 't' });
  await turns();
  t.like(router.bindings.get(theCall.key), { relayId: 'r1', state: 'answered' });
});

test('an answer that etcd confirms late does not take back what another gateway has released since', async (t) => {
  const { ask, clients, pass, router } = scene(t);
  await ask(offer);
  clients.tells = () => {
    router.error = new HoldfastError('unavailable', 'etcd did not answer');
    return { result: 'ok' };
  };
  await ask({ ...offer, command: 'answer', 'to-tag': 't' });
  await turns();
  const binding = router.bindings.get(theCall.key) as Binding;
  router.bindings.set(theCall.key, { ...binding, state: 'released' });
  router.error = undefined;
  await pass(5000);
  t.is(router.bindings.get(theCall.key)?.state, 'released');
});

test('without etcd, a re-INVITE to a slow relay does not move a call that another gateway may have seen answered', async (t) => {
  for (const isKnown of [true, false]) {
    const { ask, clients, pass, router } = scene(t);
    router.freshness = 'provisional';
    if (isKnown) {
      await ask(offer);
    }
    clients.tells = () => 'silent';
    void ask({ ...offer, 'to-tag': 't' });
    await pass(850);
    // A call that begins with a to-tag is a new one: its INVITE had no SDP.
    const isLeft = router.requests.some(({ constraints }) => constraints.excluded?.includes('r1'));
    t.is(isLeft, !isKnown);
  }
});
