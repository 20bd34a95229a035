import test from 'ava';
import { audioSdp, newCall, relayedTo } from '../../support/ng.js';
import { PacketSocket, type RtpParty, rtcpReport, rtpPacket } from '../../support/rtp.js';
import { controlPort, established, party, scene, sdpOf, until } from './builtin-scene.js';

for (const address of ['127.0.0.1', '::1']) {
  test(`RTP and RTCP pass both ways, from the ports that were told (${address})`, async (t) => {
    const { caller, callee, forCaller, forCallee } = await established(t, { mediaAddress: address });
    t.is(forCaller.address, address);
    const sent = await caller.sendRtp(forCaller);
    const heard = await callee.rtp.nth(1);
    t.deepEqual(heard.data, sent);
    t.is(heard.from.port, forCallee.port, 'symmetric: from where the callee sends to');
    const back = await callee.sendRtp(forCallee);
    const heardBack = await caller.rtp.nth(1);
    t.deepEqual(heardBack.data, back);
    t.is(heardBack.from.port, forCaller.port);

    const report = await caller.sendRtcp(forCaller);
    const heardReport = await callee.rtcp.nth(1);
    t.deepEqual(heardReport.data, report);
    t.is(heardReport.from.port, forCallee.rtcpPort);
    await callee.sendRtcp(forCallee);
    t.is((await caller.rtcp.nth(1)).from.port, forCaller.rtcpPort);
  });
}

test('the parties get different, even ports with RTCP above', async (t) => {
  const { forCaller, forCallee } = await established(t);
  t.not(forCaller.port, forCallee.port);
  for (const { port, rtcpPort } of [forCaller, forCallee]) {
    t.is(port % 2, 0);
    t.is(rtcpPort, port + 1);
  }
});

test('early media reaches the caller before the answer', async (t) => {
  const { proxy } = await scene(t);
  const [caller, callee] = [await party(t), await party(t)];
  const forCallee = relayedTo(await proxy.offer(newCall(), sdpOf(caller)));
  const sent = await callee.sendRtp(forCallee);
  t.deepEqual((await caller.rtp.nth(1)).data, sent);
});

test('a party behind a NAT is heard and reached, though its SDP is wrong', async (t) => {
  const { proxy } = await scene(t);
  const [caller, callee] = [await party(t), await party(t)];
  const call = newCall();
  const forCallee = relayedTo(await proxy.offer(call, audioSdp({ address: '10.1.2.3', port: 4000 })));
  const forCaller = relayedTo(await proxy.answer(call, sdpOf(callee)));
  await caller.sendRtp(forCaller);
  await callee.rtp.nth(1);
  const back = await callee.sendRtp(forCallee);
  t.deepEqual((await caller.rtp.nth(1)).data, back);

  // A re-INVITE that repeats the wrong address must not cut the caller off until it speaks again.
  await proxy.offer(call, audioSdp({ address: '10.1.2.3', port: 4000, version: 2 }), { inDialog: true });
  await proxy.answer(call, sdpOf(callee, 2));
  const again = await callee.sendRtp(forCallee);
  t.deepEqual((await caller.rtp.nth(2)).data, again);
});

test('once learned, strangers are not heard and do not redirect the media', async (t) => {
  const { relay, caller, callee, forCaller, forCallee } = await established(t);
  await caller.sendRtp(forCaller);
  await callee.rtp.nth(1);
  const stranger = await party(t, '127.0.0.2');
  await stranger.sendRtp(forCaller);
  await until(() => relay.media.traffic.foreignPackets === 1);
  await callee.sendRtp(forCallee);
  await caller.rtp.nth(1);
  t.is(callee.rtp.heard.length, 1);
  t.is(stranger.rtp.heard.length, 0);
});

test('a new offer may bring a new address; stray packets from the old one do not win', async (t) => {
  const { proxy, call, caller, callee, forCaller, forCallee } = await established(t);
  await caller.sendRtp(forCaller);
  await callee.rtp.nth(1);
  const moved = await party(t, '127.0.0.3');
  const offered = relayedTo(await proxy.offer(call, sdpOf(moved, 2), { inDialog: true }));
  const answered = relayedTo(await proxy.answer(call, sdpOf(callee, 2)));
  t.deepEqual([offered, answered], [forCallee, forCaller], 'a re-INVITE keeps the ports');
  await callee.sendRtp(forCallee);
  await moved.rtp.nth(1);
  await caller.sendRtp(forCaller);
  await callee.rtp.nth(2);
  await moved.sendRtp(forCaller);
  await callee.rtp.nth(3);
  await callee.sendRtp(forCallee);
  t.is((await moved.rtp.nth(2)).from.port, forCaller.port);
});

test('hold: nothing is sent to 0.0.0.0, and the call outlives the silence', async (t) => {
  const { proxy, relay, clock, call, caller, callee, forCaller, forCallee } = await established(t);
  await caller.sendRtp(forCaller);
  await callee.rtp.nth(1);
  const held = await proxy.offer(call, audioSdp({ address: '0.0.0.0', port: caller.port, version: 2 }), {
    inDialog: true,
  });
  t.regex(String(held['sdp']), /^c=IN IP4 0\.0\.0\.0\r$/m);
  await proxy.answer(call, sdpOf(callee, 2));
  await callee.sendRtp(forCallee);
  await until(() => relay.media.traffic.undeliveredPackets === 1);
  clock.advance(120_000);
  t.is(relay.media.load().calls, 1);

  await proxy.offer(call, sdpOf(caller, 3), { inDialog: true });
  await proxy.answer(call, sdpOf(callee, 3));
  await callee.sendRtp(forCallee);
  await caller.rtp.nth(1);
  t.is(caller.rtp.heard.length, 1);
  clock.advance(61_000);
  t.is(relay.media.load().calls, 0);
});

test('a call of which the relay saw only the middle gets media all the same', async (t) => {
  const { proxy } = await scene(t);
  const [caller, callee] = [await party(t), await party(t)];
  const call = newCall();
  const forCallee = relayedTo(await proxy.offer(call, sdpOf(caller, 5), { inDialog: true }));
  const forCaller = relayedTo(await proxy.answer(call, sdpOf(callee, 5)));
  await caller.sendRtp(forCaller);
  t.is((await callee.rtp.nth(1)).from.port, forCallee.port);
  await callee.sendRtp(forCallee);
  t.is((await caller.rtp.nth(1)).from.port, forCaller.port);
});

test('the packet rate is that of the last second', async (t) => {
  const { relay, clock, caller, callee, forCaller } = await established(t);
  for (let n = 1; n <= 50; n++) {
    await caller.sendRtp(forCaller);
    await callee.rtp.nth(n);
  }
  clock.advance(1000);
  t.is(relay.media.load().packetRate, 50);
  t.is(relay.media.load().byteRate, 50 * 172);
  clock.advance(1000);
  t.is(relay.media.load().packetRate, 0);
});

test('junk on the control port and on media ports harms nothing', async (t) => {
  const { relay, proxy, call, caller, callee, forCaller } = await established(t);
  const junk = await PacketSocket.open('127.0.0.1');
  t.teardown(() => junk.close());
  const control = controlPort(relay);
  for (const datagram of [
    '',
    ' ',
    'x',
    'c d',
    '\x00'.repeat(1000),
    'c d12:error-reason1:x6:result5:errore',
  ]) {
    await junk.send(Buffer.from(datagram), control, '127.0.0.1');
  }
  const media = [
    Buffer.alloc(0),
    Buffer.alloc(1),
    Buffer.alloc(1400),
    Buffer.alloc(20, 0x40),
    rtpPacket(1, 1).subarray(0, 11),
  ];
  for (const packet of media) {
    await junk.send(packet, forCaller.port, forCaller.address);
    await junk.send(packet, forCaller.rtcpPort, forCaller.address);
  }
  await until(() => relay.media.traffic.malformedPackets === 2 * media.length);
  const sent = await caller.sendRtp(forCaller);
  t.deepEqual((await callee.rtp.nth(1)).data, sent, "junk did not take the caller's place");
  t.is((await proxy.query(call))['result'], 'ok');
});

test("media that point at the relay's own ports do not make packets go in circles", async (t) => {
  const { relay, proxy } = await scene(t);
  const call = newCall();
  const [caller] = [await party(t)];
  const forCallee = relayedTo(await proxy.offer(call, sdpOf(caller)));
  const forCaller = relayedTo(
    await proxy.answer(call, audioSdp({ address: forCallee.address, port: forCallee.port })),
  );
  await proxy.offer(call, audioSdp({ address: forCaller.address, port: forCaller.port, version: 2 }), {
    inDialog: true,
  });
  await caller.sendRtp(forCaller);
  await until(() => relay.media.traffic.undeliveredPackets === 1);
  t.is(relay.media.traffic.relayedPackets, 0);
});

test('RTP and RTCP on one port, when the parties agree to that', async (t) => {
  const { proxy } = await scene(t);
  const [caller, callee] = [await party(t), await party(t)];
  const call = newCall();
  const muxed = (phone: RtpParty) =>
    audioSdp({ address: phone.address, port: phone.port, rtcpPort: phone.port, more: ['a=rtcp-mux'] });
  const forCallee = relayedTo(await proxy.offer(call, muxed(caller)));
  const forCaller = relayedTo(await proxy.answer(call, muxed(callee)));
  t.is(forCallee.rtcpPort, forCallee.port + 1, 'an offer must leave the callee the choice');
  t.is(forCaller.rtcpPort, forCaller.port);
  const report = rtcpReport(caller.ssrc);
  await caller.rtp.send(report, forCaller.port, forCaller.address);
  t.deepEqual((await callee.rtp.nth(1)).data, report);
});

test('DTLS passes where it was negotiated; fax passes unseen', async (t) => {
  const { proxy, relay } = await scene(t);
  const [caller, callee] = [await party(t), await party(t)];
  const dtls = Buffer.alloc(40, 22);
  for (const [line, packet] of [
    ['UDP/TLS/RTP/SAVPF 8', dtls],
    ['udptl t38', Buffer.from([0, 1, 2, 3])],
  ] as const) {
    const call = newCall();
    const sdp = (phone: RtpParty) => sdpOf(phone).replace('RTP/AVP 8 0 101', line);
    relayedTo(await proxy.offer(call, sdp(caller)));
    const forCaller = relayedTo(await proxy.answer(call, sdp(callee)));
    const before = callee.rtp.heard.length;
    await caller.rtp.send(packet, forCaller.port, forCaller.address);
    t.deepEqual((await callee.rtp.nth(before + 1)).data, packet);
  }
  t.is(relay.media.traffic.malformedPackets, 0);
});

test('a call that turns into a fax keeps its ports', async (t) => {
  const { proxy, call, caller, callee, forCaller } = await established(t);
  const fax = (phone: RtpParty) =>
    sdpOf(phone, 2).replace(/m=audio (\d+) RTP\/AVP 8 0 101/, 'm=image $1 udptl t38');
  await proxy.offer(call, fax(caller), { inDialog: true });
  t.deepEqual(relayedTo(await proxy.answer(call, fax(callee))).port, forCaller.port);
  await caller.rtp.send(Buffer.from([0, 0, 1]), forCaller.port, forCaller.address);
  t.is((await callee.rtp.nth(1)).data.length, 3);
});

test('the address that the proxy saw is believed if it says so', async (t) => {
  const { proxy } = await scene(t);
  const [caller, callee] = [await party(t), await party(t)];
  const call = newCall();
  const sdp = audioSdp({ address: '10.1.2.3', port: caller.port });
  const forCallee = relayedTo(await proxy.offer(call, sdp, { extra: { flags: ['SIP source address'] } }));
  await proxy.answer(call, sdpOf(callee));
  await callee.sendRtp(forCallee);
  await caller.rtp.nth(1);
  t.is(caller.rtp.heard.length, 1, 'before the caller has sent anything');
});

for (const winner of ['one', 'two'] as const) {
  test(`two phones answer one offer: each is heard, and ${winner} talks on when the other has left`, async (t) => {
    const { proxy, relay } = await scene(t);
    const [caller, one, two] = [await party(t), await party(t), await party(t)];
    const call = newCall();
    const offered = relayedTo(await proxy.offer(call, sdpOf(caller)));
    const answers = {
      one: relayedTo(await proxy.answer({ ...call, toTag: 'one' }, sdpOf(one))),
      two: relayedTo(await proxy.answer({ ...call, toTag: 'two' }, sdpOf(two))),
    };
    t.not(answers.one.port, answers.two.port, 'by its port, what the caller sends finds the right phone');
    const phones = { one, two };
    for (const [name, phone] of Object.entries(phones)) {
      const heard = caller.rtp.heard.length;
      await phone.sendRtp(offered);
      t.is((await caller.rtp.nth(heard + 1)).from.port, answers[name as 'one' | 'two'].port);
      await caller.sendRtp(answers[name as 'one' | 'two']);
      await phone.rtp.nth(1);
    }
    const loser = winner === 'one' ? 'two' : 'one';
    await proxy.delete({ ...call, toTag: loser });
    const before = caller.rtp.heard.length;
    await phones[winner].sendRtp(offered);
    t.is((await caller.rtp.nth(before + 1)).from.port, answers[winner].port);
    await caller.sendRtp(answers[winner]);
    t.is((await phones[winner].rtp.nth(2)).from.port, offered.port);
    t.is(phones[loser].rtp.heard.length, 1);
    t.is(relay.media.load().portPairs - relay.media.load().portPairsFree, 2);
    await proxy.delete({ ...call, toTag: winner });
    t.is(relay.media.load().calls, 0);
  });
}

test('a phone behind a NAT that answers second is told apart from the first by its host', async (t) => {
  const { proxy } = await scene(t);
  const [caller, one, two] = [await party(t), await party(t), await party(t, '127.0.0.2')];
  const call = newCall();
  const offered = relayedTo(await proxy.offer(call, sdpOf(caller)));
  const forOne = relayedTo(await proxy.answer({ ...call, toTag: 'one' }, sdpOf(one)));
  const wrong = audioSdp({ address: '127.0.0.2', port: 9 });
  const forTwo = relayedTo(await proxy.answer({ ...call, toTag: 'two' }, wrong));
  await two.sendRtp(offered);
  t.is((await caller.rtp.nth(1)).from.port, forTwo.port);
  await one.sendRtp(offered);
  t.is((await caller.rtp.nth(2)).from.port, forOne.port);
  await caller.sendRtp(forTwo);
  await two.rtp.nth(1);
  t.is(one.rtp.heard.length, 0);
});
