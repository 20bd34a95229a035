import type { ExecutionContext } from 'ava';
import type { NgDictionary } from '../../services/control/ng/message.js';
import { audioSdp, newCall, type ProxyClient } from '../support/ng.js';
import { testWith } from '../support/requirement.js';
import { accepted, acked, answers, invited, invites } from '../support/sip-steps.js';
import { beside, type Counts, left, text } from './calls-counts.js';
import { register } from './calls-phones.js';
import { play } from './calls-play.js';
import { type CallsStage, noSet, sharedStage, type Way } from './calls-stage.js';
import { programs } from './gateway-scene.js';

const stage = sharedStage([
  { id: 'core-1', kind: 'builtin', set: 'core' },
  { id: 'core-2', kind: 'builtin', set: 'core' },
  { id: 'edge-1', kind: 'rtpengine', set: 'edge' },
  { id: 'edge-2', kind: 'rtpengine', set: 'edge' },
]);
const calls = 5;
const allWell = { answered: calls, kept: calls, heard: calls, ended: calls, left: 0 };
const calling = [invites(), accepted({ note: 'INVITE' })];
const called = [invited({ note: 'INVITE' }), answers(200), acked()];

async function edgeAndCore(t: ExecutionContext, built: CallsStage, way: Way): Promise<Counts> {
  const edge = await built.proxy({ way, set: 'edge', replica: 0 });
  const core = await built.proxy({ way, set: 'core', replica: 1 });
  await register(edge, 'phone', core.port);
  const before = async () => {}; // their re-INVITE follows at once
  return await play(t, {
    stage: built,
    through: [edge, core],
    caller: calling,
    callee: called,
    calls,
    before,
  });
}

testWith.serial(
  programs,
  'calls pass two proxies, each of which has relays of its own, under one Call-ID',
  async (t) => {
    const built = await stage();
    const { gateway } = await beside(t, 'edge and core', (way) => edgeAndCore(t, built, way));
    t.deepEqual(gateway, allWell);
  },
);

testWith.serial(programs, 'a proxy forgets the relay set of calls that are up', async (t) => {
  const built = await stage();
  const former = await built.proxy({ way: 'gateway', set: 'edge' });
  const before = async () => {
    await former.process.stop();
    await built.proxy({ way: 'gateway', set: noSet, port: former.port });
  };
  const steps = { caller: calling, callee: called };
  const counts = await play(t, { stage: built, through: [former], ...steps, calls, before });
  t.log(`set forgotten: gateway: ${text(counts)}`);
  t.deepEqual(counts, allWell);
});

const names = {
  'with spaces': 'a call with spaces',
  'in UTF-8': 'Ünï-çödé-☎',
  'over 1,024 bytes': 'x'.repeat(1100),
};

for (const set of ['edge', 'core']) {
  testWith.serial(programs, `Call-IDs of all kinds, on relays of the ${set}`, async (t) => {
    const built = await stage();
    for (const [kind, name] of Object.entries(names)) {
      const { gateway } = await beside(t, `Call-IDs ${kind}`, async (way) => {
        const through = [await built.proxy({ way, set })];
        const before = async () => {};
        const common = { stage: built, through, caller: calling, callee: called, calls, before };
        return await play(t, { ...common, name: `${name} ${way} ` });
      });
      t.deepEqual(gateway, allWell);
    }
  });
}

const sdp = audioSdp({ address: '127.0.0.1', port: 6000, direction: 'sendonly' });

/** Commands that Kamailio does not send, in their order; the later ones are about the call that the first one begins. */
function commands(): NgDictionary[] {
  const { callId, fromTag } = newCall();
  const call = { 'call-id': callId, 'from-tag': fromTag };
  const published: NgDictionary = { command: 'publish', ...call, sdp };
  const others = ['create', 'transform', 'no such command'];
  return [
    published,
    { command: 'subscribe request', ...call, 'from-tags': [fromTag], 'to-tag': 'subscriber' },
    { command: 'block media', ...call },
    { command: 'unblock media', ...call },
    { command: 'silence media', ...call },
    { command: 'start forwarding', ...call },
    { command: 'stop forwarding', ...call },
    { command: 'unsubscribe', ...call, 'to-tag': 'subscriber' },
    { command: 'connect', ...call, 'to-call-id': callId },
    { command: 'query', ...call },
    { command: 'delete', ...call },
    { command: 'query', ...call },
    ...others.map((command) => ({ command, 'call-id': newCall().callId, 'from-tag': fromTag, sdp })),
    { command: 'transform', 'from-tag': fromTag, sdp },
    { command: 'publish', 'from-tag': fromTag, sdp },
  ];
}

/** What the relay makes of it, without addresses, ports and times. */
const gist = ({ result, 'error-reason': reason, warning }: NgDictionary): string =>
  [result, reason, warning].filter((part) => part !== undefined).join(': ');

async function gists(proxy: ProxyClient): Promise<string[]> {
  const found: string[] = [];
  for (const command of commands()) {
    found.push(`${command['command']}: ${gist(await proxy.request(command))}`);
  }
  return found;
}

testWith.serial(programs, 'every command is for the relay to judge, and may begin a call', async (t) => {
  const built = await stage();
  const [gateway, direct] = await Promise.all([
    gists(await built.ngClient('edge')),
    gists(built.relay('edge-1').ng),
  ]);
  const accepted = (all: readonly string[]) => all.filter((each) => each.endsWith(': ok')).length;
  t.log(`commands: gateway: ok ${accepted(gateway)} of ${gateway.length}; direct: ok ${accepted(direct)}`);
  t.deepEqual(gateway, direct);
  t.true(accepted(gateway) >= 8);
  t.is(
    await left(built, [
      ...(await built.relay('edge-1').ng.list()),
      ...(await built.relay('edge-2').ng.list()),
    ]),
    0,
  );
});
