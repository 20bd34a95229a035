import { audioSdp, newCall, relayedTo } from '../../support/ng.js';
import { type RtpParty, rtcpReport } from '../../support/rtp.js';
import { suite } from './builtin-comparison.js';
import { party, sdpOf } from './builtin-scene.js';

const mux = 'a=rtcp-mux';
const hasMux = (sdp: unknown) => String(sdp).includes(`${mux}\r\n`);
const muxedSdp = (phone: RtpParty) =>
  audioSdp({ address: phone.address, port: phone.port, rtcpPort: phone.port, more: [mux] });

/** Whether it is offered, the options, whether it is answered; and what the other party and the first one are told. */
const negotiations = [
  [false, [], false, false, false],
  [true, [], false, true, false],
  [true, [], true, true, true],
  [true, ['accept'], false, true, true],
  [true, ['accept'], true, true, true],
  [true, ['demux'], false, false, true],
  [true, ['demux', 'accept'], false, false, true],
  [true, ['reject'], false, true, false],
  [true, ['reject'], true, true, false],
  [false, ['offer'], false, true, false],
  [false, ['offer'], true, true, false],
  [true, ['offer'], false, true, false],
  [true, ['offer', 'accept'], false, true, true],
  [true, ['offer', 'demux'], false, true, false],
  [false, ['require'], true, true, false],
] as const;

suite('rtcp-mux is negotiated with each party for itself', async (t, proxy) => {
  const [caller, callee] = [await party(t), await party(t)];
  for (const [offered, options, answered, toldCallee, toldCaller] of negotiations) {
    const call = newCall();
    const extra = { 'rtcp-mux': [...options] };
    const offer = await proxy.offer(call, offered ? muxedSdp(caller) : sdpOf(caller), { extra });
    const answer = await proxy.answer(call, answered ? muxedSdp(callee) : sdpOf(callee), extra);
    const title = `${offered} ${options} ${answered}`;
    t.deepEqual([hasMux(offer['sdp']), hasMux(answer['sdp'])], [toldCallee, toldCaller], title);
    const [forCallee, forCaller] = [relayedTo(offer), relayedTo(answer)];
    const isOnly = options.some((option) => option === 'require');
    t.is(forCallee.rtcpPort, isOnly ? forCallee.port : forCallee.port + 1, title);
    t.is(forCaller.rtcpPort, toldCaller ? forCaller.port : forCaller.port + 1, title);
    await proxy.delete(call);
  }
});

suite('RTCP is told apart for a party that wants it on a port of its own', async (t, proxy) => {
  const [caller, callee] = [await party(t), await party(t)];
  const call = newCall();
  const forCallee = relayedTo(
    await proxy.offer(call, muxedSdp(caller), { extra: { 'rtcp-mux': ['demux'] } }),
  );
  const forCaller = relayedTo(await proxy.answer(call, sdpOf(callee)));
  await caller.sendRtp(forCaller);
  await callee.rtp.nth(1);
  const report = rtcpReport(caller.ssrc);
  await caller.rtp.send(report, forCaller.port, forCaller.address);
  const heard = await callee.rtcp.nth(1);
  t.deepEqual([heard.data, heard.from.port], [report, forCallee.rtcpPort]);
  await callee.sendRtp(forCallee);
  await caller.rtp.nth(1);
  const back = await callee.sendRtcp(forCallee);
  const joined = await caller.rtp.nth(2);
  t.deepEqual([joined.data, joined.from.port], [back, forCaller.port]);
  t.is(callee.rtp.heard.length, 1);
  t.is(caller.rtcp.heard.length, 0);
});
