import { RelayState } from '../../proto/generated/holdfast/v1/relay.js';
import { Freshness, Origin } from '../../proto/generated/holdfast/v1/selection.js';
import { eventually } from '../support/registry.js';
import { testWith } from '../support/requirement.js';
import { isMoved, negotiate, placeOf, programs, Scene } from './scene.js';

testWith.serial(programs, 'a call stays on its relay when others join, are re-weighted or die', async (t) => {
  const scene = await Scene.start(t, ['r1', 'r2', 'r3']);
  const watch = await scene.watch('/holdfast/v1/relays/');

  const { call, answer, proxy, ports, relay } = await scene.invite();
  t.is(answer.origin, Origin.NEW);
  t.is(answer.freshness, Freshness.FRESH);
  t.is(answer.binding?.relay?.controlUrl, scene.relay(relay).rtpengine.controlUrl);
  t.deepEqual(placeOf(await scene.b.select({ callId: call.callId })), placeOf(answer));

  const [reweighted = '', killed = ''] = ['r1', 'r2', 'r3'].filter((id) => id !== relay);
  await scene.join('r4');
  await scene.b.setIntent({
    relayId: reweighted,
    state: RelayState.ACTIVE,
    weight: 10_000,
    reason: 'a test',
  });
  const weighed = async () =>
    (await scene.b.listRelays('')).relays.some(({ id, weight }) => id === reweighted && weight === 10_000);
  await eventually(weighed, 'new weight');
  await scene.relay(killed).rtpengine.kill();
  await scene.gone(killed);

  const again = await scene.b.select({ callId: call.callId });
  t.deepEqual(placeOf(again), placeOf(answer));
  t.is(again.origin, Origin.EXISTING);
  const reInvite = await scene.proxyFor(again);
  t.deepEqual(await negotiate(reInvite, call, true), ports, 'the same media ports');
  t.deepEqual(await proxy.list(), [call.callId]);

  // More calls, to see that those of other relays stay.
  const others = await Promise.all(Array.from({ length: 8 }, () => scene.invite()));
  await scene.relay(relay).rtpengine.kill();
  const killedAtMs = performance.now();
  await eventually(
    async () => {
      const answers = await Promise.all(
        [scene.a, scene.b].map((each) => each.select({ callId: call.callId })),
      );
      return answers.every(isMoved);
    },
    'MOVED from both replicas',
    2000,
  );
  t.log(`MOVED by both replicas ${Math.round(performance.now() - killedAtMs)} ms after SIGKILL`);
  const [one, other] = await Promise.all([
    scene.a.select({ callId: call.callId }),
    scene.b.select({ callId: call.callId }),
  ]);
  t.deepEqual(placeOf(one), placeOf(other));
  t.is(one.binding?.generation, 2n);
  t.is(one.freshness, Freshness.FRESH);
  t.false([relay, killed].includes(String(one.binding?.relay?.id)), 'a live relay');
  await negotiate(await scene.proxyFor(one), call, true);
  for (const each of others) {
    const now = await scene.b.select({ callId: each.call.callId });
    if (each.relay === relay) {
      t.is(now.binding?.generation, 2n);
    } else {
      t.deepEqual(placeOf(now), placeOf(each.answer));
    }
  }

  t.deepEqual(
    watch.events,
    ['PUT default/r4', `DELETE default/${killed}`, `DELETE default/${relay}`],
    'joins and leaves, nothing else',
  );
});

testWith.serial(
  programs,
  'a relay keeps its instance as long as its media process lives, even if its node restarts',
  async (t) => {
    const scene = await Scene.start(t, ['r1', 'r2']);
    const { call, answer, relay: id } = await scene.invite();
    const { rtpengine, node } = scene.relay(id);
    const stays = async (what: string) => {
      for (const replica of [scene.a, scene.b]) {
        t.deepEqual(placeOf(await replica.select({ callId: call.callId })), placeOf(answer), what);
      }
    };

    // Quick: the lease of the killed node is still in force.
    await scene.restartNode(id);
    await scene.listed(id);
    await stays('node restarted at once');

    // Slow: the lease expires first. A request in between would move the call, as it should.
    await scene.relay(id).node.process.kill();
    await scene.gone(id);
    await scene.restartNode(id);
    await scene.listed(id);
    await stays('node restarted after its lease');
    t.false(node.process.running);

    await rtpengine.pause();
    await scene.gone(id, 5000);
    rtpengine.resume();
    await scene.listed(id);
    await stays('relay stopped and continued');

    // Immediate restart on the same ports: too few missed probes to be unhealthy, but its sessions are lost.
    const instance = await scene.instanceOf(id);
    await rtpengine.restart();
    await eventually(
      async () => ![undefined, instance].includes(await scene.instanceOf(id)),
      'new instance of the restarted relay',
    );
    const moved = await scene.b.select({ callId: call.callId });
    t.true(isMoved(moved));
    t.is(moved.binding?.generation, 2n);
    t.not(moved.binding?.relay?.instance, instance);
    t.deepEqual(placeOf(await scene.a.select({ callId: call.callId })), placeOf(moved));
    await negotiate(await scene.proxyFor(moved), call, true);
  },
);
