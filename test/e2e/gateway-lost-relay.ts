import type { ExecutionContext } from 'ava';
import { eventually } from '../support/registry.js';
import { carriedInAll } from './gateway-census.js';
import { Scene, type SceneOptions } from './gateway-scene.js';
import { allSucceed, relaysTold, tally } from './gateway-sums.js';

/** After this time without a SIP response the phone retransmits, and its user notices the delay. */
export const promisedMs = 1000;
export const calls = 50;

/** A relay with calls is killed before their re-INVITEs come, and before replicas know if they are not awaited. */
export async function killedBetween(
  t: ExecutionContext,
  victim: string,
  { awaitLoss = false, ...options }: SceneOptions & { readonly awaitLoss?: boolean } = {},
): Promise<void> {
  const scene = await Scene.start(t, options);
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
  t.deepEqual(complaintsOf(scene), []);
  const others = scene.relays.filter(({ id }) => id !== victim);
  await eventually(async () => (await carriedInAll(others)) === 0, 'end of all calls');
}

/** A relay is frozen before calls begin, and goes on before their re-INVITEs come. */
export async function frozenDuringSetup(t: ExecutionContext, options: SceneOptions = {}): Promise<Scene> {
  const scene = await Scene.start(t, options);
  const frozen = scene.relay('media-1');
  await frozen.freeze();
  const caller = await scene.caller('call', { calls, perSecond: 50 });
  await caller.reached(calls, 'INVITE');
  const relays = relaysTold(scene, caller, 'INVITE');
  const failovers = scene.replicas.flatMap((replica) => replica.logged('call moved'));
  t.log(`calls by relay: ${tally(relays.values())}; ${failovers.length} had been given to the frozen one`);
  t.deepEqual(
    [...relays.values()].filter((relay) => relay.includes('+') || relay === frozen.id),
    [],
  );
  t.true(failovers.length > 0);

  // It goes on with requests of calls that are on other relays by now.
  frozen.thaw();
  await scene.everybodySees(scene.relays.length);
  await caller.go(relays.keys());
  await caller.reached(calls, 're-INVITE');
  t.deepEqual(relaysTold(scene, caller, 're-INVITE'), relays);
  await caller.go(relays.keys());
  t.true((await allSucceed(t, scene, caller, calls)) < promisedMs);
  t.deepEqual(complaintsOf(scene), []);
  await eventually(async () => (await carriedInAll(scene.relays)) === 0, 'end of all calls on all relays');
  return scene;
}

const complaintsOf = (scene: Scene): string[] => scene.proxies.flatMap(({ complaints }) => complaints);
