import test, { type ExecutionContext } from 'ava';
import { HoldfastError } from '../../../services/domain/error.js';
import { maxJoinedCalls } from '../../../services/gateway/joined-calls.js';
import { offer, plain, registered, scene, theCall } from './scene.js';

const connect = {
  command: 'connect',
  'call-id': 'call-1',
  'from-tag': 'f',
  'to-tag': 'g',
  'to-call-id': 'call-2',
};
const mesh = { command: 'mesh', calls: ['call-1', 'call-2'], tags: [{ from: 'f', to: ['g'] }] };
const apart =
  /call "call-2" is on relay r1, and this one on relay r2\. A relay joins only calls of its own: .* to-call-id /;

/** `call-1` is on the second relay, and a call without a wish of its own would begin on the first. */
function onSecond(t: ExecutionContext) {
  const made = scene(t);
  made.router.bind(theCall, made.router.relays[1] ?? registered({}), { state: 'answered' });
  return made;
}

for (const [name, request] of [
  ['connect', connect],
  ['mesh', mesh],
  ['inject start', { ...connect, command: 'inject start' }],
] as const) {
  test(`${name}: calls on one relay are its affair, byte for byte`, async (t) => {
    const { ask, clients } = onSecond(t);
    await ask({ ...offer, 'call-id': 'call-2', 'to-call-id': 'call-1' });
    clients.tells = () => ({ result: 'error', 'error-reason': 'To-tag not found' });
    t.deepEqual(plain(await ask(request)), { result: 'error', 'error-reason': 'To-tag not found' });
    t.deepEqual(clients.log, ['r2 offer', `r2 ${name}`]);
    t.deepEqual(plain(clients.asked[1]?.body), plain(request));
  });

  test(`${name}: calls on two relays cannot be joined, and the reply says how they could`, async (t) => {
    const { ask, clients } = onSecond(t);
    await ask({ ...offer, 'call-id': 'call-2' });
    const reply = await ask(request);
    t.is(reply['result'], 'error');
    t.regex(String(reply['error-reason']), new RegExp(`^${name}: ${apart.source}`));
    t.deepEqual(clients.log, ['r1 offer'], 'no relay is asked');
  });

  test(`${name}: about a call that is not known here its relay has the word`, async (t) => {
    const { ask, clients } = onSecond(t);
    await ask(request);
    t.deepEqual(clients.log, [`r2 ${name}`]);
  });
}

test('a relay that is registered under two names joins the calls of both', async (t) => {
  const { ask, clients, router } = onSecond(t);
  await ask({ ...offer, 'call-id': 'call-2' });
  const [first, second] = router.relays;
  router.relays[0] = registered({ id: 'r1', controlUrl: second?.relay.controlUrl ?? '' });
  t.truthy(first);
  await ask(connect);
  t.deepEqual(clients.log, ['r1 offer', 'r2 connect']);
});

test('what else names a second call is not held up', async (t) => {
  const { ask, clients } = onSecond(t);
  await ask({ ...offer, 'call-id': 'call-2' });
  for (const command of ['answer', 'query', 'a command of tomorrow']) {
    t.is((await ask({ ...connect, command }))['result'], 'ok');
  }
  t.deepEqual(clients.log.slice(1), ['r2 answer', 'r2 query', 'r2 a command of tomorrow']);
});

test('a call that the relay will name begins beside the one that it names', async (t) => {
  const { ask, clients, router } = onSecond(t);
  clients.tells = () => ({ result: 'ok', 'call-id': 'made' });
  await ask({ command: 'create', 'rtpp-flags': 'to-call-id=call-1' });
  t.deepEqual(clients.log, ['r2 create']);
  t.is(router.bindings.get('made/default')?.relayId, 'r2');
  await ask({ command: 'create', 'to call id': 'unknown' });
  t.is(clients.log[1], 'r1 create');
});

test('a call begins though the one that it names cannot be looked up', async (t) => {
  const { ask, clients, router } = onSecond(t);
  clients.tells = () => ({ result: 'ok', 'call-id': 'made' });
  router.error = new HoldfastError('unavailable', 'etcd is lost');
  t.is((await ask({ command: 'create', 'to-call-id': 'call-1' }))['call-id'], 'made');
});

test('a list of calls has a bound', async (t) => {
  const { ask, clients } = onSecond(t);
  const calls = Array.from({ length: maxJoinedCalls + 2 }, (_, i) => `call-${i + 1}`);
  t.regex(String((await ask({ ...mesh, calls }))['error-reason']), /^mesh: 65 calls are named .* at most 64/);
  t.deepEqual(clients.log, []);
});
