import type { ExecutionContext } from 'ava';
import { eventually } from '../support/registry.js';
import { testWith } from '../support/requirement.js';
import { carriedInAll } from './gateway-census.js';
import { programs, Scene } from './gateway-scene.js';
import { allSucceed, relaysTold, tally } from './gateway-sums.js';

/** After this time without a SIP response the phone retransmits, and its user notices the delay. */
const promisedMs = 1000;
const calls = 50;

async function killedBetween(t: ExecutionContext, victim: string, awaitLoss: boolean): Promise<void> {
  const scene = await Scene.start(t);
  await scene.only(victim);
  const caller = await scene.caller('call', { calls, perSecond: 100 });
  await caller.reached(calls, 'INVITE');
  const first = relaysTold(scene, caller, 'INVITE');
  t.is(tally(first.values()), `${victim} ${calls}`);
  await scene.all();

  await scene.relay(victim).kill();
  if (awaitLoss) {
    await scene.everybodySees(scene.relays.length - 1);
  }
  await caller.go(first.keys(), 10);
  await caller.reached(calls, 're-INVITE');
  const later = relaysTold(scene, caller, 're-INVITE');
  t.log(`calls by relay: ${tally(first.values())}; after its loss: ${tally(later.values())}`);
  await caller.go(first.keys());
  t.true((await allSucceed(t, scene, caller, calls)) < promisedMs);
  t.deepEqual(
    [...later.values()].filter((relay) => relay.includes('+') || relay === victim),
    [],
  );
  const moves = scene.replicas.flatMap((replica) => replica.logged('call moved'));
  t.log(`call moved: ${moves.length} lines, as ${JSON.stringify(moves[0])}`);
  t.is(moves.length, calls);
  t.deepEqual(
    scene.proxies.flatMap(({ complaints }) => complaints),
    [],
  );
}

testWith.serial(programs, 'an rtpengine is killed between INVITE and re-INVITE of 50 calls', (t) =>
  killedBetween(t, 'media-1', false),
);
testWith.serial(programs, 'a built-in relay is killed between INVITE and re-INVITE of 50 calls', (t) =>
  killedBetween(t, 'media-3', true),
);

testWith.serial(programs, 'a relay is frozen, and 50 new calls are set up on others', async (t) => {
  const scene = await Scene.start(t);
  const frozen = scene.relay('media-1');
  await frozen.freeze();
  const caller = await scene.caller('call', { calls, perSecond: 50 });
  await caller.reached(calls, 'INVITE');
  const relays = relaysTold(scene, caller, 'INVITE');
  const failovers = scene.replicas.flatMap((replica) => replica.logged('call moved'));
  t.log(
    `calls by relay: ${tally(relays.values())}; ${failovers.length} of them had been given to the frozen one`,
  );
  t.deepEqual(
    [...relays.values()].filter((relay) => relay.includes('+') || relay === frozen.id),
    [],
  );
  t.true(failovers.length > 0);

  // It resumes with offers of calls that are on other relays by now.
  frozen.thaw();
  await scene.everybodySees(scene.relays.length);
  await caller.go(relays.keys());
  await caller.reached(calls, 're-INVITE');
  t.deepEqual(relaysTold(scene, caller, 're-INVITE'), relays);
  await caller.go(relays.keys());
  t.true((await allSucceed(t, scene, caller, calls)) < promisedMs);
  t.deepEqual(
    scene.proxies.flatMap(({ complaints }) => complaints),
    [],
  );
  for (const proxy of scene.proxies) {
    t.regex(await proxy.ask('rtpengine.show', 'all'), /disabled: 0/);
  }
  await eventually(async () => (await carriedInAll(scene.relays)) === 0, 'end of all calls on all relays');
  t.log('calls left on the relays: 0');
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
