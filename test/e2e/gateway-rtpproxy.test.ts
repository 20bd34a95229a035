import { kamailioExample } from '../support/kamailio.js';
import { startProcess } from '../support/process.js';
import { findProgram } from '../support/program.js';
import { eventually } from '../support/registry.js';
import { testWith } from '../support/requirement.js';
import { carriedInAll } from './gateway-census.js';
import { calls, frozenDuringSetup, killedBetween, promisedMs } from './gateway-lost-relay.js';
import { rtpproxyPrograms, Scene, threeRtpproxies } from './gateway-scene.js';
import { allSucceed, relaysTold, tally } from './gateway-sums.js';

/** Kamailio's rtpproxy module, unmodified, with real engines and a built-in relay behind the gateway. */
const options = { protocol: 'rtpproxy', relays: threeRtpproxies } as const;

testWith(['kamailio'], 'the example configuration is valid with rtpproxy', async (t) => {
  const args = ['-c', '-f', kamailioExample, '-A', 'WITH_RTPPROXY'];
  const check = await startProcess(t, findProgram('kamailio') ?? '', args);
  await check.success();
  t.regex(check.output, /config file ok/);
});

testWith.serial(
  rtpproxyPrograms,
  'rtpproxy: 500 calls at 50/s, INVITE by one proxy, re-INVITE and BYE by the other',
  async (t) => {
    const calls = 500;
    const scene = await Scene.start(t, options);
    const caller = await scene.caller('call', { calls, perSecond: 50, pauseMs: 1000 });
    await allSucceed(t, scene, caller, calls);
    const relays = relaysTold(scene, caller, 'INVITE');
    t.is(relays.size, calls);
    t.deepEqual([...new Set(relays.values())].sort(), ['media-1', 'media-2', 'media-3']);
    t.deepEqual(relaysTold(scene, caller, 're-INVITE'), relays, 'both phones got the same relay each time');
    t.log(`calls by relay: ${tally(relays.values())}`);
    await eventually(async () => (await carriedInAll(scene.relays)) === 0, 'end of all calls');
    t.deepEqual(
      scene.proxies.flatMap(({ complaints }) => complaints),
      [],
    );
  },
);

testWith.serial(
  rtpproxyPrograms,
  'rtpproxy: a relay is killed between INVITE and re-INVITE of 50 calls',
  (t) => killedBetween(t, 'media-1', options),
);

testWith.serial(
  rtpproxyPrograms,
  'rtpproxy: a relay is frozen, and 50 new calls are set up on others',
  async (t) => {
    await frozenDuringSetup(t, options);
  },
);

testWith.serial(
  rtpproxyPrograms,
  'rtpproxy: both gateways restart in the middle of 50 calls, and forget all that they remembered',
  async (t) => {
    const scene = await Scene.start(t, options);
    const caller = await scene.caller('call', { calls, perSecond: 50 });
    await caller.reached(calls, 'INVITE');
    const relays = relaysTold(scene, caller, 'INVITE');
    for (const replica of scene.replicas) {
      await replica.restart();
    }
    await caller.go(relays.keys());
    await caller.reached(calls, 're-INVITE');
    t.deepEqual(relaysTold(scene, caller, 're-INVITE'), relays);
    await caller.go(relays.keys());
    await allSucceed(t, scene, caller, calls);
    await eventually(async () => (await carriedInAll(scene.relays)) === 0, 'end of all calls');
    t.log(`calls by relay: ${tally(relays.values())}, before and after`);
  },
);

// The problem that the gateway solves: this test passes if calls are lost in the known way.
testWith.serial(
  rtpproxyPrograms,
  'rtpproxy: without the gateway, the loss of a relay splits calls on healthy relays',
  async (t) => {
    const calls = 60;
    const scene = await Scene.start(t, { ...options, through: 'no gateway' });
    const caller = await scene.caller('call', { calls, perSecond: 60 });
    await caller.reached(calls, 'INVITE');
    const first = relaysTold(scene, caller, 'INVITE');
    const lost = scene.relay('media-1');
    await lost.kill();
    await caller.go(first.keys(), 10);
    await caller.reached(calls, 're-INVITE');
    const later = relaysTold(scene, caller, 're-INVITE');
    await caller.go(first.keys());
    await caller.ended();
    const healthy = [...first].filter(([, relay]) => relay !== lost.id);
    const split = healthy.filter(([callId, relay]) => later.get(callId) !== relay);
    t.log(`calls by relay: ${tally(first.values())}; ${lost.id} is lost; then: ${tally(later.values())}`);
    t.log(`${split.length} of ${healthy.length} calls on healthy relays were sent to another one`);
    t.true(split.length > 0);
    const others = scene.relays.filter(({ id }) => id !== lost.id);
    t.true((await carriedInAll(others)) > 0, 'sessions that no BYE has ended');
  },
);

// The same.
testWith.serial(
  rtpproxyPrograms,
  'rtpproxy: without the gateway, new calls wait for a relay that is frozen',
  async (t) => {
    const scene = await Scene.start(t, { ...options, through: 'no gateway' });
    await scene.relay('media-1').freeze();
    const caller = await scene.caller('call', { calls: 30, perSecond: 30, pauseMs: 100 });
    await caller.ended();
    const times = (await caller.responseTimes()).get('invite') ?? [];
    const late = times.filter((timeMs) => timeMs > promisedMs);
    t.log(
      `${late.length} of 30 INVITEs were answered after more than 1 s, the slowest after ${Math.max(...late)} ms`,
    );
    t.true(late.length > 0);
  },
);
