import test from 'ava';
import type { NgDictionary } from '../../../services/control/ng/message.js';
import { HoldfastError } from '../../../services/domain/error.js';
import { relayBudgetMs } from '../../../services/gateway/call-handler.js';
import { setupTimeoutMs, silentTimeoutMs } from '../../../services/gateway/offer.js';
import { turns } from '../../support/clock.js';
import { audioSdp } from '../../support/ng.js';
import { deletion, offer, plain, scene, sessionLimit, theCall } from './scene.js';

const loadLimit = { result: 'load limit', message: sessionLimit };

test('a new call goes to the next relay when one is full, cannot do it, is dead or silent', async (t) => {
  const { ask, clients, pass, router, retries } = scene(t, ['full', 'limit', 'old', 'dead', 'mute', 'good']);
  clients.tells = (relay, { command }) => {
    switch (relay) {
      case 'full':
        return { result: 'error', 'error-reason': 'Ran out of ports' };
      case 'limit':
        return loadLimit;
      case 'old':
        return {
          result: 'error',
          'error-reason': 'Option "transport-protocol" is not supported by this relay',
        };
      case 'dead':
        return 'refused';
      default:
        return relay === 'mute' && command === 'offer' ? 'silent' : { result: 'ok' };
    }
  };
  const reply = ask(offer);
  await pass(250);
  t.deepEqual(plain(await reply), { result: 'ok' });
  const asked = ['full', 'limit', 'old', 'dead', 'mute', 'good'].map((id) => `${id} offer`);
  // The silent one may have begun the call: it is told to end it.
  await turns();
  t.deepEqual(clients.log.toSorted(), [...asked, 'mute delete'].toSorted());
  t.is(router.bindings.get(theCall.key)?.relayId, 'good');
  t.is(router.bindings.get(theCall.key)?.generation, 6);
  t.is(retries.counters.abandoned, 0);
});

test('what a relay does not like for another reason is its last word', async (t) => {
  const { ask, clients } = scene(t);
  const reply = { result: 'error', 'error-reason': 'Failed to parse SDP' };
  clients.tells = () => reply;
  t.deepEqual(plain(await ask(offer)), reply);
  t.deepEqual(clients.log, ['r1 offer']);
});

for (const [what, relays, error] of [
  ['all relays are at their capacity', ['r1'], new HoldfastError('relays-full', 'no relay is free')],
  ['no relay is registered', [], new HoldfastError('no-relay', 'no eligible relay')],
  ['the registry is out of reach', ['r1'], new HoldfastError('unavailable', 'etcd is lost')],
] as const) {
  test(`${what}: a new call hears of full relays, in words that its proxy knows`, async (t) => {
    const { ask, router } = scene(t, relays);
    router.error = error;
    t.deepEqual(plain(await ask({ ...offer, supports: ['load limit'] })), {
      ...loadLimit,
      warning: error.message,
    });
    t.deepEqual(plain(await ask(offer)), {
      result: 'error',
      'error-reason': sessionLimit,
      warning: error.message,
    });
  });
}

test('when the last relay is full too, its own words go back', async (t) => {
  const { ask, clients } = scene(t);
  clients.tells = () => loadLimit;
  t.deepEqual(plain(await ask({ ...offer, supports: ['load limit'] })), loadLimit);
  t.deepEqual(clients.log, ['r1 offer', 'r2 offer']);
});

test('when no relay answers, the proxy hears of full relays within its time', async (t) => {
  const { ask, clients, pass } = scene(t);
  clients.tells = () => 'silent';
  const reply = ask({ ...offer, supports: ['load limit'] });
  await pass(relayBudgetMs);
  t.is((await reply)['result'], 'load limit');
  const offers = clients.log.filter((each) => each.endsWith('offer'));
  t.deepEqual(offers, ['r1 offer', 'r2 offer', 'r2 offer']);
});

test('a slow relay keeps a new call where there is no other one', async (t) => {
  const { ask, clients, pass, router } = scene(t, ['dead', 'slow']);
  let asked = 0;
  clients.tells = (relay) => {
    asked++;
    return relay === 'dead' ? 'refused' : asked === 2 ? 'silent' : { result: 'ok' };
  };
  const reply = ask(offer);
  await pass(setupTimeoutMs);
  t.deepEqual(plain(await reply), { result: 'ok' });
  t.deepEqual(clients.log, ['dead offer', 'slow offer', 'slow offer']);
  t.is(router.bindings.get(theCall.key)?.relayId, 'slow');
});

test('a relay that was silent before is not waited for that long', async (t) => {
  const { ask, clients, pass, router } = scene(t, ['frozen', 'good']);
  clients.silent.add('frozen');
  clients.tells = (relay) => (relay === 'frozen' ? 'silent' : { result: 'ok' });
  const reply = ask(offer);
  await pass(silentTimeoutMs);
  t.deepEqual(plain(await reply), { result: 'ok' });
  t.is(router.bindings.get(theCall.key)?.relayId, 'good');
});

test('an offer goes first to a relay that has what it needs, and to any where none has', async (t) => {
  const { ask, clients } = scene(t, ['plain', { id: 'secure', features: ['ice', 'srtp'] }]);
  const needing = (callId: string, more: NgDictionary) => ask({ ...offer, 'call-id': callId, ...more });
  const sdp = audioSdp({ address: 'phone.example.org', port: 4000 });
  await needing('plain', { sdp });
  await needing('secure', { sdp, ICE: 'force', flags: ['RTP/SAVPF'] });
  await needing('recorded', { sdp, 'record-call': 'on' });
  t.deepEqual(clients.log, ['plain offer', 'secure offer', 'plain offer']);
  const unsupported = { result: 'error', 'error-reason': 'Option "ICE" is not supported by this relay' };
  clients.tells = (relay) => (relay === 'secure' ? { result: 'load limit' } : unsupported);
  t.deepEqual(
    plain(await needing('full', { sdp, ICE: 'force' })),
    unsupported,
    'the next one speaks for itself',
  );
  t.deepEqual(clients.log.slice(3), ['secure offer', 'plain offer']);
});

test('a call that comes without a name goes to a relay that knows what begins it', async (t) => {
  const { ask, clients } = scene(t, ['plain', { id: 'all', features: ['ng'] }]);
  clients.tells = () => ({ result: 'ok', 'call-id': 'made' });
  await ask({ command: 'create' });
  t.deepEqual(clients.log, ['all create']);
});

test('relays of another protocol are not chosen', async (t) => {
  const { ask, clients } = scene(t);
  clients.notSpoken = ['r1'];
  await ask(offer);
  t.deepEqual(clients.log, ['r2 offer']);
});

test('an answered call stays on its relay, whatever an offer lacks and whatever the relay says', async (t) => {
  const { ask, clients, pass, router } = scene(t);
  await ask(offer);
  await ask({ command: 'answer', 'call-id': 'call-1', 'from-tag': 'f', 'to-tag': 't' });
  await turns();
  t.is(router.bindings.get(theCall.key)?.state, 'answered');
  const full = { result: 'error', 'error-reason': 'Ran out of ports' };
  clients.tells = () => full;
  t.deepEqual(plain(await ask(offer)), full);
  clients.tells = () => 'silent';
  const reply = ask({ ...offer, 'via-branch': 'second' });
  await pass(900);
  t.is((await reply)['result'], 'error');
  t.is(router.bindings.get(theCall.key)?.relayId, 'r1');
  t.is(router.bindings.get(theCall.key)?.generation, 1);
});

test('an offer with a to-tag may begin a call: the next relay takes it where one is full', async (t) => {
  const { ask, clients, router } = scene(t);
  clients.tells = (relay) => (relay === 'r1' ? loadLimit : { result: 'ok' });
  t.is((await ask({ ...offer, 'to-tag': 't' }))['result'], 'ok');
  t.is(router.bindings.get(theCall.key)?.relayId, 'r2');
});

test('what needs a call is answered in rtpengine’s words where there is none, and no relay is asked', async (t) => {
  const { ask, clients, router } = scene(t);
  const words = new Map([
    ['answer', 'Unknown call-id'],
    ['query', 'Unknown call-id'],
    ['start recording', 'Unknown call-id'],
    ['play media', 'Unknown call-ID'],
    ['block DTMF', 'Unknown call-ID'],
    ['subscribe request', 'Unknown call-ID'],
  ]);
  for (const [command, reason] of words) {
    const reply = plain(await ask({ command, 'call-id': 'call-1' }));
    t.deepEqual(reply, { result: 'error', 'error-reason': reason }, command);
  }
  t.deepEqual(plain(await ask(deletion)), {
    result: 'ok',
    warning: "Call-ID not found or tags didn't match",
  });
  t.deepEqual(clients.log, []);
  t.is(router.bindings.size, 0);
});

for (const command of ['publish', 'create', 'transform', 'frobnicate']) {
  test(`${command} may begin a call, and its call stays where it began`, async (t) => {
    const { ask, clients, router } = scene(t);
    const request = { command, 'call-id': 'call-1', 'from-tag': 'f' };
    t.is((await ask(request))['result'], 'ok');
    t.is(router.bindings.get(theCall.key)?.relayId, 'r1');
    await ask({ command: 'play media', 'call-id': 'call-1' });
    await ask({ ...request, 'to-tag': 't' });
    t.deepEqual(clients.log, [`r1 ${command}`, 'r1 play media', `r1 ${command}`]);
  });
}

test('a command that no relay knows begins nothing: the last relay’s words go back, and the call is released', async (t) => {
  const { ask, clients, router } = scene(t);
  const reply = { result: 'error', 'error-reason': 'Unrecognized command' };
  clients.tells = () => reply;
  t.deepEqual(plain(await ask({ command: 'frobnicate', 'call-id': 'call-1' })), reply);
  t.deepEqual(clients.log, ['r1 frobnicate', 'r2 frobnicate'], 'a newer relay might have known it');
  await turns();
  t.deepEqual(router.released, ['call-1']);
});

test('an offer that a relay cannot serve does not release a call that was there before', async (t) => {
  const { ask, clients, router } = scene(t);
  await ask(offer);
  clients.tells = () => ({ result: 'error', 'error-reason': 'Option "ICE" is not supported by this relay' });
  await ask(offer);
  await turns();
  t.deepEqual(router.released, []);
});

test('a call that the relay has named is bound by its reply', async (t) => {
  const { ask, clients, router } = scene(t);
  clients.tells = (relay) =>
    relay === 'r1'
      ? { result: 'error', 'error-reason': 'Unrecognized command' }
      : { result: 'ok', 'call-id': 'made' };
  t.is((await ask({ command: 'create' }))['call-id'], 'made');
  t.deepEqual(
    [...router.bindings].map(([key, { relayId }]) => `${key} ${relayId}`),
    ['made/default r2'],
  );
  await ask({ command: 'create answer', 'call-id': 'made' });
  t.deepEqual(clients.log, ['r1 create', 'r2 create', 'r2 create answer']);
});

test('its proxy hears of it though the registry does not', async (t) => {
  const { ask, clients, pass, router, lines } = scene(t);
  clients.tells = () => ({ result: 'ok', 'call-id': 'made' });
  router.error = new HoldfastError('unavailable', 'etcd is lost');
  t.is((await ask({ command: 'create' }))['call-id'], 'made');
  t.true(lines.some(({ msg }) => msg === 'cannot bind a call that a relay has named'));
  router.error = undefined;
  router.hangs = true;
  const reply = ask({ command: 'create' });
  await pass(850);
  t.is((await reply)['call-id'], 'made');
});

test('without a relay for it, it hears of full relays', async (t) => {
  const { ask } = scene(t, []);
  t.is((await ask({ command: 'create' }))['error-reason'], sessionLimit);
});

test('every request is answered within 0.9 s', async (t) => {
  const { ask, clients, pass, router } = scene(t);
  await ask(offer);
  router.hangs = true;
  const hung = [offer, { ...offer, 'to-tag': 't' }, deletion, { command: 'query', 'call-id': 'call-1' }].map(
    ask,
  );
  await pass(900);
  const results = (await Promise.all(hung)).map(({ result }) => result);
  t.deepEqual(results, ['error', 'error', 'ok', 'error']);
  t.is(clients.asked.length, 1);
});

test('a call that its relay does not know while it is being set up is looked for on the others', async (t) => {
  const said = {
    answer: { result: 'error', 'error-reason': 'Unknown call-id' },
    query: { result: 'error', 'error-reason': 'Unknown call-id' },
    delete: { result: 'ok', warning: "Call-ID not found or tags didn't match" },
  };
  for (const [command, denial] of Object.entries(said)) {
    for (const isFound of [true, false]) {
      const { ask, clients, router } = scene(t);
      await ask(offer);
      const [, second] = router.relays;
      router.carrier = isFound ? second : undefined;
      clients.tells = (relay) => (relay === 'r1' ? denial : { result: 'ok' });
      const reply = await ask({ ...deletion, command, 'to-tag': 't' });
      t.deepEqual(plain(reply), isFound ? { result: 'ok' } : denial);
      t.deepEqual(clients.log.slice(1, isFound ? 3 : 2), [
        `r1 ${command}`,
        ...(isFound ? [`r2 ${command}`] : []),
      ]);
    }
  }
});
