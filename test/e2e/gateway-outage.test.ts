import { eventually } from '../support/registry.js';
import { testWith } from '../support/requirement.js';
import { carriedInAll } from './gateway-census.js';
import { programs, Scene } from './gateway-scene.js';
import { allSucceed, relaysTold, tally } from './gateway-sums.js';

testWith.serial(
  programs,
  'while etcd is frozen calls continue, new ones are set up, and both proxies agree',
  async (t) => {
    const scene = await Scene.start(t);
    const old = await scene.caller('old', { calls: 20, perSecond: 50 });
    await old.reached(20, 'INVITE');
    const bound = relaysTold(scene, old, 'INVITE');

    await scene.etcd.pause();
    // A gateway notices with the first request.
    for (const [i, { client }] of scene.replicas.entries()) {
      await client.select({ callId: `the-first-to-notice-${i}` }).catch(() => undefined);
    }
    await eventually(
      () =>
        scene.replicas.every((replica) => replica.warnings().some(({ msg }) => msg.startsWith('etcd lost'))),
      'both gateways to notice',
    );
    const fresh = await scene.caller('new', { calls: 50, perSecond: 50 });
    await fresh.reached(50, 'INVITE');
    const promised = relaysTold(scene, fresh, 'INVITE');
    await fresh.go(promised.keys());
    await fresh.reached(50, 're-INVITE');
    t.deepEqual(relaysTold(scene, fresh, 're-INVITE'), promised, 'the other proxy went to the same relays');
    t.log(`calls by relay without etcd: ${tally(promised.values())}`);

    scene.etcd.resume();
    await eventually(
      () => scene.replicas.every((replica) => replica.logged('etcd answers again').length === 1),
      'etcd',
    );
    await eventually(async () => {
      const bindings = await scene.bindings();
      return [...promised].every(([callId, relay]) => bindings.get(callId)?.relay === relay);
    }, 'all promises kept');
    const conflicts = scene.replicas.flatMap((replica) =>
      replica.warnings().filter(({ msg }) => msg.startsWith('provisional call is on another relay')),
    );
    t.deepEqual(conflicts, []);
    await old.go(bound.keys(), 20);
    await old.reached(20, 're-INVITE');
    t.deepEqual(relaysTold(scene, old, 're-INVITE'), bound);
    await old.go(bound.keys());
    await fresh.go(promised.keys());
    await allSucceed(t, scene, old, 20);
    await allSucceed(t, scene, fresh, 50);
    await eventually(async () => (await carriedInAll(scene.relays)) === 0, 'end of all calls');
  },
);
