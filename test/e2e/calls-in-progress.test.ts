import { setTimeout as delay } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { eventually } from '../support/registry.js';
import { testWith } from '../support/requirement.js';
import {
  accepted,
  acked,
  answers,
  caller,
  hangsUp,
  held,
  hungUp,
  invited,
  invites,
  refused,
} from '../support/sip-steps.js';
import { type Counts, carriers, inTurn, left, onTheirRelay, text } from './calls-counts.js';
import { heard } from './calls-media.js';
import { Phone } from './calls-phones.js';
import { play } from './calls-play.js';
import { type CallsStage, sharedStage, type Way } from './calls-stage.js';
import { programs } from './gateway-scene.js';

const calls = 5;
const user = 'phone';
/** A call of two parties has four ports. */
const portsOfCalls = ['--port-min=30000', `--port-max=${30_000 + 4 * calls - 1}`];
const stage = sharedStage([
  { id: 'rtp-1', kind: 'rtpengine', set: 'pair' },
  { id: 'rtp-2', kind: 'rtpengine', set: 'pair' },
  { id: 'tight-1', kind: 'rtpengine', set: 'tight', args: portsOfCalls },
  { id: 'tight-2', kind: 'rtpengine', set: 'tight', args: portsOfCalls },
]);

/** As `onTheirRelay`, once a relay that was silent has worked off what waited for it, and has ended what went on elsewhere. */
async function keptAfterSilence(
  built: CallsStage,
  parties: readonly Phone[],
  notes: readonly string[],
): Promise<number> {
  const kept = () => onTheirRelay(built, parties, notes);
  await eventually(async () => (await kept()) === calls, 'calls on one relay each', 5000).catch(
    () => undefined,
  );
  return await kept();
}

const calling = [invites(), accepted({ note: 'INVITE' })];
const isCalled = [invited({ note: 'INVITE' }), answers(200), acked()];

/** The caller offers an answered call once more, without a to-tag, as some B2BUAs do. */
const offersAgain = [
  ...[invites(), accepted({ note: 'INVITE' }), held()],
  ...[invites({ cseq: 2 }), accepted({ cseq: 2, note: 'again', dialog: 'again' }), held()],
  hangsUp(caller, { dialog: 'again' }),
];
const isOfferedAgain = [
  ...[invited({ note: 'INVITE' }), answers(200), acked()],
  ...[invited({ note: 'again' }), answers(200), acked(), hungUp()],
];

async function pausedMeanwhile(t: ExecutionContext, built: CallsStage, way: Way): Promise<Counts> {
  const proxy = await built.proxy({ way, set: 'pair' });
  const common = { stage: built, user, through: [proxy] };
  const phone = await Phone.ringing(t, { ...common, steps: isOfferedAgain });
  await built.only('pair', 'rtp-1');
  const callers = await Phone.calling(t, { ...common, steps: offersAgain, calls });
  const answered = await callers.reached('INVITE', calls);
  await built.only('pair');
  const relay = built.relay('rtp-1');
  await relay.freeze();
  await callers.go();
  await delay(700);
  relay.thaw();
  const again = await callers.reached('again', answered);
  const kept = await keptAfterSilence(built, [callers, phone], ['INVITE', 'again']);
  const spoken = await heard(callers, phone, 'again');
  await callers.go('again');
  const { succeeded: ended } = await callers.sipp.ended();
  return { answered, again, kept, heard: spoken, ended, left: await left(built, callers.callIds) };
}

testWith.serial(
  programs,
  'an answered call is offered again without a to-tag while its relay is silent for 0.7 s',
  async (t) => {
    const built = await stage();
    const { gateway } = await inTurn(t, 'offered again', (way) => pausedMeanwhile(t, built, way));
    t.deepEqual(gateway, {
      ...{ answered: calls, again: calls, kept: calls, heard: calls, ended: calls, left: 0 },
    });
  },
);

/** Of five calls on a relay that has ports for five, one gets a second branch, for which there are none. */
async function withoutPorts(t: ExecutionContext, built: CallsStage, way: Way): Promise<Counts> {
  const [set, tight] = ['tight', way === 'gateway' ? 'tight-1' : 'tight-2'];
  const flags = 'replace-origin replace-session-connection ICE=remove';
  const defines = { OFFER_FLAGS: `"${flags} via-branch=1"`, ANSWER_FLAGS: `"${flags} via-branch=2"` };
  const proxy = await built.proxy({ way, set, defines, relays: [tight] });
  const common = { stage: built, user, through: [proxy] };
  const phone = await Phone.ringing(t, { ...common, steps: [...isCalled, hungUp()] });
  await built.only(set, tight);
  const steps = [...calling, held(), hangsUp(caller)];
  const callers = await Phone.calling(t, { ...common, steps, calls: calls - 1 });
  const answered = await callers.reached('INVITE', calls - 1);
  const branching = [
    ...calling,
    held(),
    invites({ cseq: 2 }),
    refused(503, { cseq: 2 }),
    held(),
    hangsUp(caller),
  ];
  const brancher = await Phone.calling(t, { ...common, steps: branching, calls: 1 });
  await brancher.reached('INVITE', 1);
  await built.only(set);
  await brancher.go();
  const refusals = await brancher.reached('refused', 1);
  const moved = [...(await carriers(built.relays)).values()].filter((relay) => relay !== tight).length;
  const kept = await onTheirRelay(built, [callers, phone], ['INVITE']);
  const spoken = await heard(callers, phone, 'INVITE');
  await Promise.all([callers.go(), brancher.go('refused')]);
  await Promise.all([callers.sipp.ended(), brancher.sipp.ended()]);
  const remaining = await left(built, [...callers.callIds, ...brancher.callIds]);
  return { answered, refused: refusals, moved, kept, heard: spoken, left: remaining };
}

testWith.serial(
  programs,
  'an answered call gets a second branch while its relay has no ports left',
  async (t) => {
    const built = await stage();
    const { gateway } = await inTurn(t, 'no ports', (way) => withoutPorts(t, built, way));
    // rtpengine itself ends the call that it has no ports for. It does not go where its parties would not follow.
    const others = calls - 1;
    t.deepEqual(gateway, {
      ...{ answered: others, refused: 1, moved: 0, kept: others, heard: others, left: 0 },
    });
  },
);

/** @param until when the relay is silent: until the calls have begun anew elsewhere, or only while they end */
async function beginsAnew(
  t: ExecutionContext,
  built: CallsStage,
  way: Way,
  until: 'end' | 'anew',
): Promise<Counts> {
  const name = `${way}-${until}`;
  const last = `${name}-${calls + 1}`;
  const [before, after] = await Promise.all(
    ([0, 1] as const).map(async (replica) => {
      const proxy = await built.proxy({ way, set: 'pair', replica });
      return { stage: built, user, through: [proxy], name };
    }),
  );
  if (!before || !after) {
    throw new Error('no proxies');
  }
  await built.only('pair', 'rtp-1');
  await Phone.ringing(t, { ...before, steps: [...isCalled, hungUp()] });
  const phone = await Phone.ringing(t, { ...after, steps: [...isCalled, hungUp()] });
  const callers = await Phone.calling(t, {
    ...before,
    steps: [...calling, held(), hangsUp(caller)],
    calls: calls + 1,
  });
  await callers.reached('INVITE', calls + 1);
  await built.only('pair');
  const relay = built.relay('rtp-1');
  await relay.freeze();
  await callers.go();
  await callers.sipp.ended();
  if (until === 'end') {
    relay.thaw();
  }
  const anew = await Phone.calling(t, { ...after, steps: [...calling, held(), hangsUp(caller)], calls });
  const begun = await anew.reached('INVITE', calls);
  relay.thaw();
  // It does not begin again.
  const lastLeft = await left(built, [last], 5000);
  const kept = await keptAfterSilence(built, [anew, phone], ['INVITE']);
  const spoken = await heard(anew, phone, 'INVITE');
  await anew.go();
  await anew.sipp.ended();
  return { begun, kept, heard: spoken, left: lastLeft + (await left(built, anew.callIds)) };
}

const begunAnew = { begun: calls, kept: calls, heard: calls, left: 0 };

testWith.serial(
  programs,
  'a call ends while its relay is silent, and begins anew at the other replica when it is back',
  async (t) => {
    const built = await stage();
    const { gateway } = await inTurn(t, 'begun anew', (way) => beginsAnew(t, built, way, 'end'));
    t.deepEqual(gateway, begunAnew);
  },
);

testWith.serial(
  programs,
  'a call ends while its relay is silent, and begins anew at the other replica meanwhile',
  async (t) => {
    const counts = await beginsAnew(t, await stage(), 'gateway', 'anew');
    // Without the gateway every request waits for five timeouts of 1 s each.
    t.log(`begun anew elsewhere: gateway: ${text(counts)}`);
    t.deepEqual(counts, begunAnew);
  },
);

async function switched(t: ExecutionContext, built: CallsStage, way: Way): Promise<Counts> {
  const former = await built.proxy({ way: 'direct', set: 'pair' });
  let found = 0;
  const before = async () => {
    await former.process.stop();
    await built.proxy({ way, set: 'pair', port: former.port });
    const callIds = [...(await carriers(built.of('pair'))).keys()];
    const asked = way === 'gateway' ? [await built.ngClient('pair')] : built.of('pair').map(({ ng }) => ng);
    const queries = asked.flatMap((client) => callIds.map((callId) => client.query({ callId })));
    found = (await Promise.all(queries)).filter(({ result }) => result === 'ok').length;
  };
  const steps = { caller: calling, callee: isCalled };
  const counts = await play(t, { stage: built, through: [former], ...steps, calls, before });
  return { found, ...counts };
}

testWith.serial(programs, 'a proxy is switched to the gateway while calls are up', async (t) => {
  const built = await stage();
  const { gateway } = await inTurn(t, 'switched', (way) => switched(t, built, way));
  t.deepEqual(gateway, {
    ...{ found: calls, answered: calls, kept: calls, heard: calls, ended: calls, left: 0 },
  });
});
