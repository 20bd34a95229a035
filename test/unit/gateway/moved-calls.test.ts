import test, { type ExecutionContext } from 'ava';
import type { RegisteredRelay } from '../../../services/domain/relay.js';
import { turns } from '../../support/clock.js';
import { deletion, offer, plain, registered, scene, theCall } from './scene.js';

const answer = { command: 'answer', 'call-id': 'call-1', 'from-tag': 'f', 'to-tag': 't', sdp: 'v=0' };
const reInvite = { ...offer, 'to-tag': 't' };
const unknownCall = { result: 'error', 'error-reason': 'Unknown call-id' };

/** A call in progress that an operator has moved from r1 to r2. */
async function moved(t: ExecutionContext) {
  const made = scene(t);
  await made.ask(offer);
  await made.ask(answer);
  await turns();
  const move = async (excluded: string, generation: number) => {
    const request = {
      call: theCall,
      generation,
      reason: 'a test',
      by: 'client',
      requestId: `m${generation}`,
    };
    await made.router.move({ ...request, constraints: { excluded: [excluded] } });
  };
  await move('r1', 1);
  made.clients.asked.length = 0;
  return { ...made, move };
}

test('the former relay’s session ends when the new relay has accepted the answer', async (t) => {
  const { ask, clients } = await moved(t);
  await ask(reInvite);
  await turns();
  t.deepEqual(clients.log, ['r2 offer'], 'until then media flow through the former relay');
  await ask(answer);
  await turns();
  t.deepEqual(clients.log, ['r2 offer', 'r2 answer', 'r1 delete']);
  t.deepEqual(plain(clients.asked.at(-1)?.body), { command: 'delete', 'call-id': 'call-1' }, 'all of it');
});

test('an answer that the new relay refuses ends nothing', async (t) => {
  const { ask, clients } = await moved(t);
  clients.tells = () => unknownCall;
  await ask(answer);
  await turns();
  t.deepEqual(clients.log, ['r2 answer']);
});

test('a call that has moved back is ended on the relay in between, and there alone', async (t) => {
  const { ask, clients, move } = await moved(t);
  await move('r2', 2);
  await ask(reInvite);
  await ask(answer);
  await turns();
  t.deepEqual(clients.log, ['r1 offer', 'r1 answer', 'r2 delete']);
});

test('nor is it ended where it comes back to while the former relay is silent', async (t) => {
  const { ask, clients, pass, move, retries } = await moved(t);
  clients.tells = (relay) => (relay === 'r1' ? 'silent' : { result: 'ok' });
  await ask(answer);
  await pass(400);
  await move('r2', 2);
  await pass(130_000);
  t.deepEqual(clients.log, ['r2 answer', 'r1 delete']);
  t.is(retries.counters.canceled, 1);
});

test('a former relay that has left, or has restarted, is not asked', async (t) => {
  const { ask, clients, pass, router, retries } = await moved(t);
  clients.tells = (relay) => (relay === 'r1' ? 'silent' : { result: 'ok' });
  await ask(answer);
  await pass(400);
  router.relays[0] = registered({ id: 'r1', instance: 'another' });
  await pass(130_000);
  t.deepEqual(clients.log, ['r2 answer', 'r1 delete']);
  t.is(retries.counters.abandoned, 0);
  router.relays.shift();
  await ask(answer);
  await turns();
  t.deepEqual(clients.log.slice(2), ['r2 answer']);
});

test('a former relay that was away when the new one accepted the answer is told when it is back', async (t) => {
  for (const hasMovedBack of [false, true]) {
    const { ask, clients, move, pass, router } = await moved(t);
    const [away] = router.relays.splice(0, 1);
    await ask(answer);
    await pass(3000);
    t.deepEqual(clients.log, ['r2 answer']);
    router.relays.unshift(away as RegisteredRelay);
    if (hasMovedBack) {
      await move('r2', 2);
    }
    await pass(5000);
    t.deepEqual(clients.log.slice(1), hasMovedBack ? [] : ['r1 delete']);
  }
});

test('a relay that is registered under two names is one', async (t) => {
  const { ask, clients, router } = await moved(t);
  router.relays[0] = registered({ id: 'r1', controlUrl: router.relays[1]?.relay.controlUrl ?? '' });
  await ask(answer);
  await turns();
  t.deepEqual(clients.log, ['r2 answer']);
});

test('a delete goes to the former relay too: without a re-INVITE the call is still there', async (t) => {
  const { ask, clients, pass, router } = await moved(t);
  let isCarried = true;
  clients.tells = (relay, { command }) => {
    if (command === 'query') {
      return relay === 'r1' && isCarried ? { result: 'ok' } : unknownCall;
    }
    return relay === 'r2'
      ? { result: 'ok', warning: "Call-ID not found or tags didn't match" }
      : { result: 'ok' };
  };
  t.is((await ask(deletion))['result'], 'ok');
  await turns();
  const deletes = clients.asked.filter(({ command }) => command === 'delete');
  t.deepEqual(deletes.map(({ relay }) => relay).toSorted(), ['r1', 'r2']);
  t.deepEqual(
    plain(deletes[0]?.body),
    plain(deletes[1]?.body),
    'as the proxy sent it: it may mean one branch',
  );
  t.deepEqual(router.released, [], 'the former relay still knows it');
  isCarried = false;
  await pass(32_000);
  t.deepEqual(router.released, ['call-1']);
});

test('what was begun on a relay that then refuses a further offer is ended there', async (t) => {
  const { ask, clients } = scene(t);
  await ask(offer);
  clients.tells = (relay, { command }) =>
    relay === 'r1' && command === 'offer' ? { result: 'load limit' } : { result: 'ok' };
  await ask({ ...offer, 'via-branch': 'second' });
  await turns();
  t.deepEqual(clients.log.slice(1).toSorted(), ['r1 delete', 'r1 offer', 'r2 offer']);
  await ask(answer);
  await turns();
  t.deepEqual(clients.log.slice(4), ['r2 answer'], 'once');
});
