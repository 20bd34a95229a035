import { RelayState } from '../../proto/generated/holdfast/v1/relay.js';
import { kamailioExample } from '../support/kamailio.js';
import { startProcess } from '../support/process.js';
import { findProgram } from '../support/program.js';
import { eventually } from '../support/registry.js';
import { testWith } from '../support/requirement.js';
import { Census, carriedInAll } from './gateway-census.js';
import { programs, Scene, type SceneOptions } from './gateway-scene.js';
import { allSucceed, relaysTold, tally } from './gateway-sums.js';

testWith(['kamailio'], 'the example configuration is valid unchanged, in both roles', async (t) => {
  for (const role of [[], ['-A', 'WITH_BALANCER']]) {
    const check = await startProcess(t, findProgram('kamailio') ?? '', [
      '-c',
      '-f',
      kamailioExample,
      ...role,
    ]);
    await check.success();
    t.regex(check.output, /config file ok/);
  }
});

testWith.serial(
  programs,
  '500 calls at 50/s: INVITE by one proxy, re-INVITE and BYE by the other',
  async (t) => {
    const calls = 500;
    const scene = await Scene.start(t);
    const { callee } = scene;
    const census = new Census(t, scene.relays);
    const caller = await scene.caller('call', { calls, perSecond: 50, pauseMs: 1000 });
    await allSucceed(t, scene, caller, calls);

    const [invited, again, ended] = ['INVITE', 're-INVITE', 'BYE'].map((request) => callee.noted(request));
    const notSwapped = [...(invited ?? [])].filter(([callId, { proxy }]) =>
      [again, ended].some((notes) => !notes?.has(callId) || notes.get(callId)?.proxy === proxy),
    );
    t.deepEqual(
      notSwapped.map(([callId]) => callee.notes.filter((note) => note.callId === callId)),
      [],
    );
    t.is(invited?.size, calls);
    t.log(`${invited?.size} calls had their INVITE served by one proxy, re-INVITE and BYE by the other`);

    const carriers = await census.end();
    t.log(`calls seen on relays: ${tally(carriers.values())}`);
    t.is(carriers.size, calls);
    // One relay per call: both phones got its address each time.
    t.deepEqual(carriers, relaysTold(scene, caller, 'INVITE'));
    t.deepEqual(carriers, relaysTold(scene, caller, 're-INVITE'));
    await eventually(async () => (await carriedInAll(scene.relays)) === 0, 'end of all calls');
    t.log('calls left on the relays: 0');
    t.is(scene.proxies.flatMap(({ complaints }) => complaints).length, 0);
  },
);

/** A gateway restarts: its proxy has no other one, or has a spare. */
const restarts: readonly (readonly [name: string, SceneOptions])[] = [
  ['its socket is kept', { keepsSockets: true }],
  ['the other is to spare', { through: 'own gateway, or the other' }],
];

for (const [name, options] of restarts) {
  testWith.serial(
    programs,
    `a relay joins, one is re-weighted, a gateway restarts (${name}), in the middle of 200 calls`,
    async (t) => {
      const calls = 200;
      const scene = await Scene.start(t, options);
      const caller = await scene.caller('call', { calls, perSecond: 25, pauseMs: 2000 });
      await caller.reached(30, 'INVITE');
      await scene.join({ id: 'media-4', kind: 'builtin' });
      await scene.want('media-1', RelayState.ACTIVE, 10);
      await caller.reached(70, 're-INVITE');
      const phase = () =>
        ['INVITE', 're-INVITE', 'BYE']
          .map((request) => `${scene.callee.noted(request).size} ${request}s`)
          .join(', ');
      t.log(`gateway stopped after ${phase()}`);
      await scene.replicas[1]?.restart();
      t.log(`gateway back after ${phase()}`);
      await allSucceed(t, scene, caller, calls);

      const first = relaysTold(scene, caller, 'INVITE');
      const later = relaysTold(scene, caller, 're-INVITE');
      const moved = [...first].filter(([callId, relay]) => later.get(callId) !== relay);
      const bindings = [...(await scene.bindings())].filter(([, { generation }]) => generation !== 1);
      t.log(`calls by relay: ${tally(first.values())}; moved: ${moved.length}`);
      t.deepEqual(moved, []);
      t.deepEqual(bindings, []);
      if (options.keepsSockets) {
        for (const proxy of scene.proxies) {
          t.regex(await proxy.ask('rtpengine.show', 'all'), /disabled: 0/);
        }
      }
      await eventually(async () => (await carriedInAll(scene.relays)) === 0, 'end of all calls');
    },
  );
}
