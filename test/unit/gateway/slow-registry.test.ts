import test from 'ava';
import { offer, plain, registered, scene, theCall } from './scene.js';

/** etcd has fallen silent, and is not taken for lost yet. */

const answer = { command: 'answer', 'call-id': 'call-1', 'from-tag': 'f', 'to-tag': 't', sdp: 'v=0' };
const reinvite = { ...offer, 'to-tag': 't' };

for (const request of [answer, reinvite]) {
  const { command } = request;
  test(`an ${command} in a dialog goes to the relay that says that it carries the call`, async (t) => {
    const { ask, clients, pass, router } = scene(t);
    router.hangs = true;
    router.carrier = registered({ id: 'r2' });
    const reply = ask(request);
    await pass(399);
    t.deepEqual(clients.log, [], 'etcd is waited for');
    await pass(1);
    t.deepEqual(plain(await reply), { result: 'ok' });
    t.deepEqual(clients.log, [`r2 ${command}`]);
  });

  test(`where no relay says so, an ${command} in a dialog waits for etcd`, async (t) => {
    const { ask, clients, pass, router } = scene(t);
    router.bind(theCall, registered({ id: 'r1' }), { state: 'answered' });
    router.hangs = true;
    const reply = ask(request);
    await pass(700);
    t.deepEqual(clients.log, []);
    router.recover();
    t.deepEqual(plain(await reply), { result: 'ok' });
    t.deepEqual(clients.log, [`r1 ${command}`]);
  });
}

test('once etcd is back it has the call as answered', async (t) => {
  const { ask, pass, router } = scene(t);
  await ask(offer);
  router.hangs = true;
  router.carrier = registered({ id: 'r1' });
  const reply = ask(answer);
  await pass(400);
  t.is((await reply)['result'], 'ok');
  t.is(router.bindings.get(theCall.key)?.state, 'setup');
  router.recover();
  await pass(1000);
  t.is(router.bindings.get(theCall.key)?.state, 'answered');
});

test('a new call is not looked for: no relay carries it', async (t) => {
  const { ask, clients, pass, router } = scene(t);
  router.hangs = true;
  router.carrier = registered({ id: 'r2' });
  const reply = ask(offer);
  await pass(900);
  t.is((await reply)['result'], 'error');
  t.deepEqual(clients.log, []);
});
