import test, { type ExecutionContext } from 'ava';
import type { NgDictionary } from '../../../services/control/ng/message.js';
import { type CallTags, newCall, relayedTo } from '../../support/ng.js';
import type { RtpParty, RtpTarget } from '../../support/rtp.js';
import { checkOf, readReply } from '../../support/stun.js';
import { suite } from './builtin-comparison.js';
import { party, type Scene, scene, sdpOf, until } from './builtin-scene.js';

interface Told {
  readonly target: RtpTarget;
  readonly ufrag: string;
  readonly password: string;
  readonly sdp: string;
}

const line = (sdp: string, pattern: RegExp) => pattern.exec(sdp)?.[1] ?? '';

function toldBy(reply: NgDictionary): Told {
  const sdp = String(reply['sdp']);
  const ufrag = line(sdp, /^a=ice-ufrag:(\S+)\r$/m);
  return { target: relayedTo(reply), ufrag, password: line(sdp, /^a=ice-pwd:(\S+)\r$/m), sdp };
}

/** What a browser says. */
const browserSdp = (phone: RtpParty, ufrag: string, version = 1) =>
  `${sdpOf(phone, version).replace('RTP/AVP', 'UDP/TLS/RTP/SAVPF')}${[
    'a=fingerprint:sha-256 AA:BB',
    'a=setup:actpass',
    'a=rtcp-mux',
    `a=ice-ufrag:${ufrag}`,
    'a=ice-pwd:0123456789012345678901',
    'a=candidate:1 1 UDP 2130706431 10.9.9.9 9 typ host',
    '',
  ].join('\r\n')}`;
const noRemove = { ICE: 'default' };

interface Browsers extends Scene {
  readonly call: CallTags;
  readonly caller: RtpParty;
  readonly callee: RtpParty;
  readonly toCallee: Told;
  readonly toCaller: Told;
}

async function browsers(t: ExecutionContext): Promise<Browsers> {
  const stage = await scene(t);
  const [caller, callee, call] = [await party(t), await party(t), newCall()];
  const toCallee = toldBy(await stage.proxy.offer(call, browserSdp(caller, 'abcd'), { extra: noRemove }));
  const toCaller = toldBy(await stage.proxy.answer(call, browserSdp(callee, 'efgh'), noRemove));
  return { ...stage, call, caller, callee, toCallee, toCaller };
}

/** @returns the reply */
async function check(phone: RtpParty, told: Told, ufrag: string, options = {}): Promise<Buffer> {
  const heard = phone.rtp.heard.length;
  const username = `${told.ufrag}:${ufrag}`;
  const packet = checkOf({ username, password: told.password, nominates: true, ...options });
  await phone.rtp.send(packet, told.target.port, told.target.address);
  const { data } = await phone.rtp.nth(heard + 1);
  if (data.toString('hex', 8, 20) !== packet.toString('hex', 8, 20)) {
    throw new Error('the reply is to another transaction');
  }
  return data;
}

test('browsers are told a lite agent each, and media pass when both have checked', async (t) => {
  const { relay, caller, callee, toCaller, toCallee } = await browsers(t);
  t.true((await relay.features()).includes('ice'));
  for (const { sdp, target } of [toCallee, toCaller]) {
    t.regex(sdp, /^a=ice-lite\r$/m);
    t.is(
      sdp.match(/^a=candidate:/gm)?.length,
      sdp === toCaller.sdp ? 1 : 2,
      'RTCP has one until both multiplex',
    );
    t.true(sdp.includes(`a=candidate:1 1 UDP 2130706431 ${target.address} ${target.port} typ host\r\n`));
    t.notRegex(sdp, /10\.9\.9\.9|ice-ufrag:(?:abcd|efgh)/);
    t.regex(sdp, /^a=fingerprint:sha-256 AA:BB\r$/m, 'keys pass from end to end');
  }
  t.not(toCallee.ufrag, toCaller.ufrag);

  await caller.sendRtp(toCaller.target);
  await until(() => relay.media.traffic.foreignPackets === 1);
  const reply = readReply(await check(caller, toCaller, 'abcd'), toCaller.password);
  t.like(reply, { type: 0x01_01, isSigned: true, hasFingerprint: true });
  t.deepEqual(reply.mapped, { address: caller.address, port: caller.port });
  await caller.sendRtp(toCaller.target);
  await until(() => relay.media.traffic.undeliveredPackets === 1);
  await check(callee, toCallee, 'efgh');
  const sent = await caller.sendRtp(toCaller.target);
  t.deepEqual((await callee.rtp.nth(2)).data, sent);
  const dtls = Buffer.from([22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  await callee.rtp.send(dtls, toCallee.target.port, toCallee.target.address);
  t.deepEqual((await caller.rtp.nth(2)).data, dtls);
});

test('a check that is not signed with the password, or of another name, is nothing', async (t) => {
  const { relay, caller, toCaller } = await browsers(t);
  const { port, address } = toCaller.target;
  const good = { username: `${toCaller.ufrag}:abcd`, password: toCaller.password };
  const bad = [
    checkOf({ ...good, password: 'x' }),
    checkOf({ ...good, username: 'x:abcd' }),
    checkOf({ ...good, username: `${toCaller.ufrag}:zzzz` }),
    checkOf(good).subarray(0, 24),
    Buffer.concat([Buffer.from('000100002112a442', 'hex'), Buffer.alloc(12)]),
  ];
  for (const packet of bad) {
    await caller.rtp.send(packet, port, address);
  }
  await until(() => relay.media.traffic.malformedPackets === bad.length);
  t.is(caller.rtp.heard.length, 0);
  const conflict = await check(caller, toCaller, 'abcd', { isControlled: true });
  t.like(readReply(conflict, toCaller.password), { type: 0x01_11, errorCode: 487, isSigned: true });
});

test('who nominates another address is sent to there, and who no longer checks is sent nothing', async (t) => {
  const { relay, clock, caller, callee, toCaller, toCallee } = await browsers(t);
  await check(caller, toCaller, 'abcd');
  await check(callee, toCallee, 'efgh');
  const moved = await party(t);
  await check(moved, toCallee, 'efgh', { nominates: false });
  await caller.sendRtp(toCaller.target);
  await callee.rtp.nth(2);
  await check(moved, toCallee, 'efgh');
  await caller.sendRtp(toCaller.target);
  await moved.rtp.nth(3);
  clock.advance(29_000);
  await check(moved, toCallee, 'efgh');
  clock.advance(29_000);
  await caller.sendRtp(toCaller.target);
  await moved.rtp.nth(5);
  const { undeliveredPackets } = relay.media.traffic;
  clock.advance(2000);
  await caller.sendRtp(toCaller.target);
  await until(() => relay.media.traffic.undeliveredPackets === undeliveredPackets + 1);
  t.is(moved.rtp.heard.length, 5);
});

test('a restart has new credentials; another offer keeps them', async (t) => {
  const { proxy, call, caller, callee, toCaller, toCallee } = await browsers(t);
  await check(caller, toCaller, 'abcd');
  const again = { inDialog: true, extra: noRemove };
  t.is(toldBy(await proxy.offer(call, browserSdp(caller, 'abcd', 2), again)).ufrag, toCallee.ufrag);
  t.is(toldBy(await proxy.answer(call, browserSdp(callee, 'efgh', 2), noRemove)).ufrag, toCaller.ufrag);
  await proxy.offer(call, browserSdp(caller, 'ijkl', 3), again);
  const restarted = toldBy(await proxy.answer(call, browserSdp(callee, 'efgh', 3), noRemove));
  t.not(restarted.ufrag, toCaller.ufrag);
  t.is(readReply(await check(caller, restarted, 'ijkl'), restarted.password).type, 0x01_01);
});

suite('ICE is offered where it is asked for, and removed where it is not', async (t, proxy) => {
  const phone = await party(t);
  const withIce = browserSdp(phone, 'abcd')
    .replace('UDP/TLS/RTP/SAVPF', 'RTP/AVP')
    .replaceAll(/a=(?:fing|setup).*\r\n/g, '');
  const cases = [
    [sdpOf(phone), 'force', true],
    [withIce, 'force', true],
    [withIce, 'remove', false],
    [sdpOf(phone), 'remove', false],
  ] as const;
  for (const [sdp, ICE, isOffered] of cases) {
    const call = newCall();
    const offered = String((await proxy.offer(call, sdp, { extra: { ICE } }))['sdp']);
    t.is(/^a=ice-ufrag:/m.test(offered), isOffered, `${ICE} ${sdp === withIce}`);
    t.notRegex(offered, /10\.9\.9\.9/, 'no candidate of the party');
    await proxy.delete(call);
  }
});
