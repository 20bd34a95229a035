import { testWith } from '../support/requirement.js';
import { calls, frozenDuringSetup, killedBetween, promisedMs } from './gateway-lost-relay.js';
import { programs, Scene } from './gateway-scene.js';
import { allSucceed, relaysTold, tally } from './gateway-sums.js';

testWith.serial(programs, 'an rtpengine is killed between INVITE and re-INVITE of 50 calls', (t) =>
  killedBetween(t, 'media-1'),
);
testWith.serial(programs, 'a built-in relay is killed between INVITE and re-INVITE of 50 calls', (t) =>
  killedBetween(t, 'media-3', { awaitLoss: true }),
);

testWith.serial(programs, 'a relay is frozen, and 50 new calls are set up on others', async (t) => {
  const { proxies } = await frozenDuringSetup(t);
  for (const proxy of proxies) {
    t.regex(await proxy.ask('rtpengine.show', 'all'), /disabled: 0/);
  }
});

testWith.serial(programs, 'a relay is full, and the next one takes the call', async (t) => {
  const most = 5;
  const scene = await Scene.start(t, {
    relays: [
      { id: 'media-1', kind: 'rtpengine', weight: 10_000, args: [`--max-sessions=${most}`] },
      { id: 'media-2', kind: 'rtpengine', weight: 1 },
      { id: 'media-3', kind: 'builtin', weight: 1 },
    ],
  });
  const caller = await scene.caller('call', { calls, perSecond: 50 });
  await caller.reached(calls, 'INVITE');
  const relays = relaysTold(scene, caller, 'INVITE');
  const failovers = scene.replicas.flatMap((replica) => replica.logged('call moved'));
  t.log(`calls by relay: ${tally(relays.values())}; ${failovers.length} went on from the full one`);
  t.is([...relays.values()].filter((relay) => relay === 'media-1').length, most);
  t.true(failovers.length > 0);
  t.true(failovers.every((line) => line['reason'] === 'the relay is full'));
  await caller.go(relays.keys());
  await caller.reached(calls, 're-INVITE');
  t.deepEqual(relaysTold(scene, caller, 're-INVITE'), relays);
  await caller.go(relays.keys());
  t.true((await allSucceed(t, scene, caller, calls)) < promisedMs);
});
