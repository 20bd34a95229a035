import test from 'ava';
import type { BuiltinRelay } from '../../../relay-node/relays/builtin.js';
import type { Relay } from '../../../services/domain/relay.js';
import { parseAddress } from '../../../services/runtime/address.js';
import { audioSdp, ProxyClient } from '../../support/ng.js';
import { eventually } from '../../support/registry.js';
import { RtpParty } from '../../support/rtp.js';
import { mediaOf, toldBy } from '../relay-node/builtin-rtpproxy-scene.js';
import { proxyOf, rtpproxyGateway } from './rtpproxy-scene.js';
import { builtinRelay } from './scene.js';

async function registrationOf(relay: BuiltinRelay, id: string): Promise<Partial<Relay>> {
  const { kind, controlUrl, rtpproxyUrl } = relay;
  return { id, kind, controlUrl, rtpproxyUrl, features: await relay.features() };
}

test.serial('built-in relays are rtpproxies to the gateway, and no other daemon is needed', async (t) => {
  const relays = [await builtinRelay(t, { maxSessions: 1 }), await builtinRelay(t)];
  const registered = await Promise.all(relays.map(async (relay, i) => registrationOf(relay, `r${i + 1}`)));
  const { ask, bindingOf, replica } = await rtpproxyGateway(t, registered, {
    HOLDFAST_NG_LISTEN: '127.0.0.1:0',
  });
  t.is(await ask('VF 20050322'), '1');
  t.is(await ask('VF 20071116'), '0', 'they do not have it');
  const [caller, callee] = [await RtpParty.open(), await RtpParty.open()];
  t.teardown(() => Promise.all([caller.close(), callee.close()]).then(() => undefined));
  const forCallee = toldBy(await ask(`Uc8 c@h ${mediaOf(caller)} f;1`));
  const forCaller = toldBy(await ask(`Lc8 c@h ${mediaOf(callee)} f;1 t;1`));
  t.is((await bindingOf('c@h'))?.relay, 'r1');
  const sent = await caller.sendRtp(forCaller);
  t.deepEqual((await callee.rtp.nth(1)).data, sent);
  const back = await callee.sendRtp(forCallee);
  t.deepEqual((await caller.rtp.nth(1)).data, back);

  toldBy(await ask('U d@h 127.0.0.1 4000 f;1'));
  t.is((await bindingOf('d@h'))?.relay, 'r2', 'the first takes one call');

  // A proxy that speaks ng finds the same relays.
  const address = parseAddress(replica.gatewayAddresses('ng')[0] ?? '') ?? { host: '', port: 0 };
  const proxy = new ProxyClient(address.host, address.port);
  await proxy.start();
  t.teardown(() => proxy.stop());
  const call = { callId: 'e@h', fromTag: 'a', toTag: 'b' };
  t.is((await proxy.offer(call, audioSdp({ address: '127.0.0.1', port: 4000 })))['result'], 'ok');
  t.is((await bindingOf('e@h'))?.relay, 'r2');

  t.is(await ask('D c@h t f'), '0');
  t.deepEqual(
    relays.map(({ media }) => media.load().calls),
    [0, 2],
  );
  await eventually(async () => (await bindingOf('c@h'))?.released === true, 'release');
});

test.serial(
  'the last branch that is deleted ends the call, with the media of those that have lost',
  async (t) => {
    const relay = await builtinRelay(t);
    const { ask, bindingOf } = await rtpproxyGateway(t, [await registrationOf(relay, 'r1')]);
    toldBy(await ask('U c@h 127.0.0.1 4000 f;1'));
    toldBy(await ask('L c@h 127.0.0.1 4002 f;1 tB;1'));
    toldBy(await ask('L c@h 127.0.0.1 4004 f;1 tC;1'));
    t.is(await ask('D c@h f tB'), '0');
    t.is(relay.media.load().calls, 1);
    t.is(await ask('D c@h tC f'), '0');
    t.is(relay.media.load().calls, 0);
    await eventually(async () => (await bindingOf('c@h'))?.released === true, 'release');
  },
);

test.serial('a call that a built-in relay carries is found there, whichever protocol began it', async (t) => {
  const relay = await builtinRelay(t);
  const own = parseAddress(relay.rtpproxyUrl?.slice('udp:'.length) ?? '') ?? { host: '', port: 0 };
  const direct = await proxyOf(t, own.host, own.port);
  toldBy(await direct('U c@h 127.0.0.1 4000 f;1'));
  const { ask, bindingOf } = await rtpproxyGateway(t, [await registrationOf(relay, 'r1')]);
  toldBy(await ask('L c@h 127.0.0.1 4002 f;1 t;1'));
  t.is((await bindingOf('c@h'))?.relay, 'r1');
});
