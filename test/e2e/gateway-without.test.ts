import { testWith } from '../support/requirement.js';
import { Census, carriedInAll } from './gateway-census.js';
import { programs, Scene } from './gateway-scene.js';
import { relaysTold, tally } from './gateway-sums.js';

// The problem that the gateway solves: this test passes if calls are lost in the known way.
testWith.serial(
  programs,
  'without the gateway, the loss of a relay splits calls on healthy relays',
  async (t) => {
    const [calls, before] = [60, 15];
    const scene = await Scene.start(t, { through: 'no gateway' });
    const caller = await scene.caller('call', { calls, perSecond: 60 });
    await caller.reached(calls, 'INVITE');
    const first = relaysTold(scene, caller, 'INVITE');
    const frozen = scene.relay('media-1');
    await frozen.freeze();
    const others = scene.relays.filter(({ id }) => id !== frozen.id);
    const census = new Census(t, others);

    // Until a proxy has noticed the loss, each request for a call of the lost relay waits for five timeouts.
    const callIds = [...first.keys()];
    await caller.go(callIds.slice(0, before));
    await caller.reached(before, 're-INVITE');
    // From then on the proxies hash over the remaining relays.
    await caller.go(callIds.slice(before), 10);
    await caller.reached(calls, 're-INVITE');
    const later = relaysTold(scene, caller, 're-INVITE');
    const onTwo = [...(await census.end()).values()].filter((relays) => relays.includes('+'));
    await caller.go(callIds);
    const { failed } = await caller.ended();
    const late = ((await caller.responseTimes()).get('reinvite') ?? []).filter((timeMs) => timeMs > 1000);

    const healthy = [...first].filter(([, relay]) => relay !== frozen.id);
    const split = healthy.filter(([callId, relay]) => later.get(callId) !== relay);
    const orphans = await carriedInAll(others);
    t.log(`calls by relay: ${tally(first.values())}; ${frozen.id} is lost; then: ${tally(later.values())}`);
    t.log(
      `${split.length} of ${healthy.length} calls on healthy relays were sent to another one, ${failed} failed`,
    );
    t.log(
      `${late.length} re-INVITEs were answered after more than 1 s, the slowest after ${Math.max(...late)} ms`,
    );
    t.log(
      `${onTwo.length} calls had sessions on two relays; ${orphans} sessions are left after the last BYE`,
    );
    t.true(split.length > 0);
    t.is(onTwo.length, split.length);
    t.true(late.length > 0);
    t.true(orphans > 0);
    t.true(
      scene.proxies.flatMap(({ complaints }) => complaints).some((line) => line.includes('timeout waiting')),
    );
  },
);
