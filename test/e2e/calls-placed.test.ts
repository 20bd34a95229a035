import type { ExecutionContext } from 'ava';
import type { Kamailio } from '../support/kamailio.js';
import { kemiPrograms } from '../support/kemi.js';
import { freeUdpPort } from '../support/ports.js';
import { testWith } from '../support/requirement.js';
import {
  accepted,
  acked,
  answers,
  invited,
  invites,
  type MediaOptions,
  refused,
  refuses,
  withSrtp,
} from '../support/sip-steps.js';
import { beside, type Counts, text } from './calls-counts.js';
import { encrypted, type Media, plain, transcoded } from './calls-media.js';
import { play } from './calls-play.js';
import { type CallsStage, sharedStage, type Way } from './calls-stage.js';
import { programs } from './gateway-scene.js';

/** Weights of the relay that new calls try, and of the one that is left. */
const [first, last] = [10_000, 1];
const full = ['--max-sessions=0'];
const stage = sharedStage(
  [
    { id: 'late-1', kind: 'rtpengine', set: 'late', weight: first, args: full },
    { id: 'late-2', kind: 'builtin', set: 'late', weight: first },
    { id: 'late-3', kind: 'rtpengine', set: 'late', weight: last },
    { id: 'full', kind: 'rtpengine', set: 'full', args: full },
    { id: 'plain', kind: 'builtin', set: 'default', weight: first },
    { id: 'able', kind: 'rtpengine', set: 'default', weight: last },
  ],
  ['empty'],
);
const calls = 5;
const allWell = { answered: calls, kept: calls, heard: calls, ended: calls, left: 0 };
const plainCaller = [invites(), accepted({ note: 'INVITE' })];
const plainCallee = [invited({ note: 'INVITE' }), answers(200), acked()];

const lateCaller = [invites({ sdp: false }), accepted({ note: 'INVITE', sdp: true })];
const lateCallee = [invited(), answers(200), acked({ note: 'INVITE' })];

async function late(t: ExecutionContext, built: CallsStage, way: Way): Promise<Counts> {
  const through = [await built.proxy({ way, set: 'late', relays: ['late-1', 'late-3'] })];
  const before = () => built.lingerIsOver('late');
  return await play(t, { stage: built, through, caller: lateCaller, callee: lateCallee, calls, before });
}

testWith.serial(programs, 'late offers: the first relays are full or silent', async (t) => {
  const built = await stage();
  const silent = built.relay('late-2');
  await silent.freeze();
  const { gateway } = await beside(t, 'late offer', (way) => late(t, built, way));
  silent.thaw();
  t.deepEqual(gateway, allWell);
});

/** Ten calls of a proxy that knows a second server. */
async function spared(t: ExecutionContext, built: CallsStage, set: string, way: Way): Promise<Counts> {
  const [nobody, relay] = [await freeUdpPort(), set === 'full' ? built.relay('full').port : undefined];
  const server = way === 'gateway' ? built.port(set, 0) : (relay ?? nobody);
  const NG_SOCK = `"udp:127.0.0.1:${server} udp:127.0.0.1:${built.relay('late-3').port}"`;
  const through = [await built.proxy({ way, set, defines: { NG_SOCK } })];
  return await play(t, { stage: built, through, caller: plainCaller, callee: plainCallee, calls: 10 });
}

for (const [set, why] of [
  ['full', 'all relays are full'],
  ['empty', 'no relay is registered'],
] as const) {
  testWith.serial(programs, `${why}, and the proxy has a spare: no call is refused`, async (t) => {
    const built = await stage();
    const { gateway } = await beside(t, why, (way) => spared(t, built, set, way));
    t.deepEqual(gateway, { answered: 10, kept: 10, heard: 10, ended: 10, left: 0 });
  });
}

/** Refusals after which a caller tries again with the same Call-ID. Kamailio makes 500 of a 503 (RFC 3261 section 16.7). */
const retriedCaller = [
  ...[invites({ cseq: 1 }), refused(401, { cseq: 1 })],
  ...[invites({ cseq: 2 }), refused(422, { cseq: 2 })],
  ...[invites({ cseq: 3 }), refused(500, { cseq: 3 })],
  ...[invites({ cseq: 4 }), accepted({ cseq: 4, note: 'INVITE' })],
];
const retriedCallee = [
  ...[invited(), refuses(401), invited(), refuses(422), invited(), refuses(503)],
  ...[invited({ note: 'INVITE' }), answers(200), acked()],
];

async function retried(t: ExecutionContext, built: CallsStage, proxy: Kamailio): Promise<Counts> {
  const before = () => built.lingerIsOver('default');
  const steps = { caller: retriedCaller, callee: retriedCallee };
  return await play(t, { stage: built, through: [proxy], ...steps, calls, before });
}

testWith(programs, 'calls are refused and tried again with the same Call-ID', async (t) => {
  const built = await stage();
  const { gateway } = await beside(t, '401, 422 and 503', async (way) =>
    retried(t, built, await built.proxy({ way, set: 'default' })),
  );
  t.deepEqual(gateway, allWell);
});

testWith([...programs, ...kemiPrograms], 'so they are by a proxy that asks over gRPC', async (t) => {
  const built = await stage();
  const counts = await retried(t, built, await built.grpcProxy());
  t.log(`401, 422 and 503: gRPC: ${text(counts)}`);
  t.deepEqual(counts, allWell);
});

/** What an offer asks for, how the callee answers it, and what becomes of the media. */
interface Need {
  readonly flags: string;
  readonly answer?: MediaOptions;
  readonly media?: Media;
}
const needs: Readonly<Record<string, Need>> = {
  ICE: { flags: 'ICE=force' },
  transcoding: { flags: 'ICE=remove transcode-PCMU', answer: { payloadType: 0 }, media: transcoded },
  SRTP: { flags: 'ICE=remove RTP/SAVP', answer: withSrtp, media: encrypted },
};

async function needed(t: ExecutionContext, built: CallsStage, need: Need, way: Way): Promise<Counts> {
  const { flags, answer, media = plain } = need;
  const OFFER_FLAGS = `"replace-origin replace-session-connection ${flags}"`;
  const through = [await built.proxy({ way, set: 'default', defines: { OFFER_FLAGS } })];
  const callee = [invited({ note: 'INVITE', crypto: media === encrypted }), answers(200, answer), acked()];
  return await play(t, { stage: built, through, caller: plainCaller, callee, calls, media });
}

testWith.serial(programs, 'offers that need more than plain RTP go to a relay that has it', async (t) => {
  const built = await stage();
  for (const [what, need] of Object.entries(needs)) {
    const { gateway } = await beside(t, what, (way) => needed(t, built, need, way));
    t.deepEqual(gateway, allWell);
  }
});
