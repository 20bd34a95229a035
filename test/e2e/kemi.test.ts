import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { installScript, kemiConfiguration, kemiPrograms } from '../support/kemi.js';
import { startProcess } from '../support/process.js';
import { findProgram } from '../support/program.js';
import { eventually } from '../support/registry.js';
import { testWith } from '../support/requirement.js';
import { Census, carriedInAll } from './gateway-census.js';
import { programs, Scene } from './gateway-scene.js';
import { allSucceed, relaysTold, tally } from './gateway-sums.js';

/** Kamailio that calls Holdfast over gRPC from Python, with the files that users copy. */
const needed = [...new Set([...programs, ...kemiPrograms])];

testWith(kemiPrograms, 'the example configuration for Python is valid unchanged', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-kemi-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  const script = await installScript(t, directory);
  const check = await startProcess(t, findProgram('kamailio') ?? '', [
    ...['-c', '-f', kemiConfiguration],
    ...['-A', `HOLDFAST_SCRIPT="${script}"`],
  ]);
  await check.success();
  t.regex(check.output, /config file ok/);
});

testWith.serial(needed, '200 calls: INVITE by one proxy, re-INVITE and BYE by the other', async (t) => {
  const calls = 200;
  const scene = await Scene.start(t, { through: 'gRPC' });
  const census = new Census(t, scene.relays);
  const caller = await scene.caller('call', { calls, perSecond: 25, pauseMs: 1000 });
  await allSucceed(t, scene, caller, calls);

  const [invited, again, ended] = ['INVITE', 're-INVITE', 'BYE'].map((request) =>
    scene.callee.noted(request),
  );
  for (const [callId, { proxy }] of invited ?? []) {
    t.not(again?.get(callId)?.proxy, proxy);
    t.is(ended?.get(callId)?.proxy, again?.get(callId)?.proxy);
  }
  const carriers = await census.end();
  t.log(`calls seen on relays: ${tally(carriers.values())}`);
  t.is(carriers.size, calls);
  // One relay per call: both phones got its address each time.
  t.deepEqual(carriers, relaysTold(scene, caller, 'INVITE'));
  t.deepEqual(carriers, relaysTold(scene, caller, 're-INVITE'));
  const bindings = [...(await scene.bindings()).values()];
  t.is(bindings.length, calls);
  t.true(bindings.every(({ generation, released }) => generation === 1 && released));
  await eventually(async () => (await carriedInAll(scene.relays)) === 0, 'end of all calls');
  for (const proxy of scene.proxies) {
    t.notRegex(proxy.process.output, /Unhandled exception|not released/);
  }
});

testWith.serial(needed, 'a relay dies, and only its calls move, with their re-INVITE', async (t) => {
  const calls = 40;
  const scene = await Scene.start(t, { through: 'gRPC' });
  const caller = await scene.caller('call', { calls, perSecond: 25 });
  await caller.reached(calls, 'INVITE');
  const first = relaysTold(scene, caller, 'INVITE');
  await scene.relay('media-1').kill();
  await scene.everybodySees(2);
  await caller.go(first.keys());
  await caller.reached(calls, 're-INVITE');
  const later = relaysTold(scene, caller, 're-INVITE');
  t.log(`before: ${tally(first.values())}; after: ${tally(later.values())}`);
  t.true([...first.values()].includes('media-1'));
  const bindings = await scene.bindings();
  for (const [callId, relay] of first) {
    const moved = relay === 'media-1';
    t.is(later.get(callId), moved ? bindings.get(callId)?.relay : relay);
    t.not(later.get(callId), 'media-1');
    t.is(bindings.get(callId)?.generation, moved ? 2 : 1);
  }
  await caller.go(first.keys());
  await allSucceed(t, scene, caller, calls);
});

testWith.serial(
  needed,
  'a relay is silent but still registered, and new calls go to another one',
  async (t) => {
    const calls = 20;
    const scene = await Scene.start(t, { through: 'gRPC' });
    await scene.relay('media-1').freeze();
    const caller = await scene.caller('call', { calls, perSecond: 50 });
    await caller.reached(calls, 'INVITE');
    const relays = relaysTold(scene, caller, 'INVITE');
    const moves = scene.replicas.flatMap((replica) => replica.logged('call moved'));
    t.log(
      `calls by relay: ${tally(relays.values())}; ${moves.length} of them had been given to the silent one`,
    );
    t.false([...relays.values()].some((relay) => relay.includes('media-1')));
    t.true(moves.length > 0);
    t.true(moves.every((line) => line['from'] === 'media-1'));
    await caller.go(relays.keys());
    await caller.reached(calls, 're-INVITE');
    t.deepEqual(relaysTold(scene, caller, 're-INVITE'), relays);
    await caller.go(relays.keys());
    await allSucceed(t, scene, caller, calls);
    scene.relay('media-1').thaw();
  },
);
