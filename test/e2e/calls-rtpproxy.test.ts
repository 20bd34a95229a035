import type { ExecutionContext } from 'ava';
import { testWith } from '../support/requirement.js';
import { accepted, acked, answers, invited, invites } from '../support/sip-steps.js';
import { type Counts, inTurn } from './calls-counts.js';
import { calls, forks, playFork } from './calls-forks.js';
import { play } from './calls-play.js';
import { type CallsStage, sharedStage, type Way } from './calls-stage.js';
import { rtpproxyPrograms } from './gateway-scene.js';

/** Weights of the relay that new calls try, and of the one that is left. */
const [first, last] = [10_000, 1];
const full = { kind: 'rtpproxy', portPairs: 1, weight: first } as const;
const protocol = 'rtpproxy';
const stage = sharedStage([
  { id: 'fork-1', kind: 'rtpproxy', set: 'rtpproxy' },
  { id: 'fork-2', kind: 'rtpproxy', set: 'rtpproxy' },
  { id: 'own-1', kind: 'builtin', set: 'builtin' },
  { id: 'own-2', kind: 'builtin', set: 'builtin' },
  { id: 'late-1', set: 'late', ...full },
  { id: 'late-2', kind: 'builtin', set: 'late', weight: first },
  { id: 'late-3', kind: 'rtpproxy', set: 'late', weight: last },
  { id: 'full-1', set: 'full', ...full },
  { id: 'full-2', kind: 'rtpproxy', set: 'full', weight: last },
  { id: 'pin-1', kind: 'rtpproxy', set: 'pinned' },
]);
const allWell = { answered: calls, kept: calls, heard: calls, ended: calls, left: 0 };

for (const set of ['rtpproxy', 'builtin']) {
  testWith.serial(rtpproxyPrograms, `rtpproxy: forked calls on ${set}: the winner talks on`, async (t) => {
    const built = await stage();
    for (const fork of forks) {
      const { configuration } = fork;
      const { gateway, direct } = await inTurn(t, fork.title, async (way) =>
        playFork(t, built, set, fork, await built.proxy({ way, set, protocol, configuration })),
      );
      t.deepEqual(gateway, {
        answered: calls,
        heardAtOnce: calls,
        kept: calls,
        heardLater: calls,
        ended: calls,
        left: 0,
      });
      if (set === 'rtpproxy') {
        t.is(direct['heardAtOnce'], 0, 'an rtpproxy alone ends the session for both');
      }
    }
  });
}

const lateCaller = [invites({ sdp: false }), accepted({ note: 'INVITE', sdp: true })];
const lateCallee = [invited(), answers(200), acked({ note: 'INVITE' })];

async function late(t: ExecutionContext, built: CallsStage, way: Way): Promise<Counts> {
  const through = [await built.proxy({ way, set: 'late', protocol, relays: ['late-1', 'late-3'] })];
  const before = () => built.lingerIsOver('late');
  return await play(t, { stage: built, through, caller: lateCaller, callee: lateCallee, calls, before });
}

testWith.serial(rtpproxyPrograms, 'rtpproxy: late offers: the first relays are full or silent', async (t) => {
  const built = await stage();
  const silent = built.relay('late-2');
  await silent.freeze();
  const { gateway, direct } = await inTurn(t, 'late offer', (way) => late(t, built, way));
  silent.thaw();
  t.deepEqual(gateway, allWell);
  t.true((direct['kept'] ?? 0) < calls, 'calls that no relay has');
});

const plainCaller = [invites(), accepted({ note: 'INVITE' })];
const plainCallee = [invited({ note: 'INVITE' }), answers(200), acked()];

testWith.serial(rtpproxyPrograms, 'rtpproxy: a full relay loses its new calls to the next', async (t) => {
  const built = await stage();
  const { gateway, direct } = await inTurn(t, 'a relay is full', async (way) => {
    const through = [await built.proxy({ way, set: 'full', protocol })];
    const steps = { caller: plainCaller, callee: plainCallee };
    return await play(t, { stage: built, through, ...steps, calls });
  });
  t.deepEqual(gateway, allWell);
  t.true((direct['answered'] ?? 0) < calls, 'calls that are refused');
});

testWith.serial(
  rtpproxyPrograms,
  'rtpproxy: a relay set of its own pins calls to a relay, by set_rtp_proxy_set',
  async (t) => {
    const built = await stage();
    const RTPPROXY_PINNED = `"1 == udp:127.0.0.1:${built.port('pinned', 0, protocol)}"`;
    const defines = { WITH_PINNED: undefined, RTPPROXY_PINNED };
    const through = [await built.proxy({ way: 'gateway', set: 'rtpproxy', protocol, defines })];
    const steps = { caller: plainCaller, callee: plainCallee };
    for (const [user, pinned] of [
      ['pinned', calls],
      ['phone', 0],
    ] as const) {
      const before = async () =>
        t.is(await built.relay('pin-1').sessions(), pinned, `${user} before the re-INVITEs`);
      const counts = await play(t, {
        stage: built,
        through,
        user,
        ...steps,
        calls,
        before: async () => void (await before()),
      });
      t.deepEqual(counts, allWell, user);
    }
  },
);
