import type { ExecutionContext } from 'ava';
import { eventually } from '../support/registry.js';
import { startHoldfast } from '../support/stack.js';
import { Scene, type SceneOptions } from './gateway-scene.js';
import { allSucceed, relaysTold, tally } from './gateway-sums.js';

/** A relay is drained with 100 calls in progress: they stay, new ones go elsewhere, and the wait ends with the last of them. */
export async function drainedWithCalls(t: ExecutionContext, options: SceneOptions = {}): Promise<void> {
  const [calls, newCalls, drained] = [100, 30, 'media-2'];
  const scene = await Scene.start(t, options);
  const caller = await scene.caller('call', { calls, perSecond: 100 });
  await caller.reached(calls, 'INVITE');
  const relays = relaysTold(scene, caller, 'INVITE');

  const server = `127.0.0.1:${scene.replicas[0]?.grpcPort}`;
  const drain = await startHoldfast(t, ['drain', drained, '--wait', '--server', server]);
  await drain.waitForLine(/media-2 carries \d+ calls/);
  const late = await scene.caller('late', { calls: newCalls, perSecond: 50, pauseMs: 100 });
  await allSucceed(t, scene, late, newCalls);
  const lateRelays = relaysTold(scene, late, 'INVITE');
  t.log(`live calls: ${tally(relays.values())}; new calls during the drain: ${tally(lateRelays.values())}`);
  t.false([...lateRelays.values()].includes(drained));

  await caller.go(relays.keys(), 2);
  await caller.reached(calls, 're-INVITE');
  t.deepEqual(relaysTold(scene, caller, 're-INVITE'), relays);

  const onIt = [...relays].filter(([, relay]) => relay === drained).map(([callId]) => callId);
  const [last = '', ...others] = onIt;
  await caller.go(
    [...relays.keys()].filter((callId) => callId !== last),
    2,
  );
  await drain.waitForLine(/media-2 carries 1 call$/);
  t.true(drain.running);
  await caller.go([last]);
  await allSucceed(t, scene, caller, calls);
  await drain.success(30_000);
  t.log(`the wait went on for ${others.length + 1} calls, and said:`);
  for (const line of drain.stdout.trim().split('\n')) {
    t.log(`  ${line}`);
  }
  await eventually(async () => (await scene.relay(drained).sessions()) === 0, 'end of its sessions', 1000);
}
