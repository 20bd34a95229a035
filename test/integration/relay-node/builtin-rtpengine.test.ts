import { encodeBody, type NgDictionary } from '../../../services/control/ng/message.js';
import { ng } from '../../../services/control/ng/protocol.js';
import { audioSdp, type CallTags, mediaAddresses, newCall, relayedTo, reversed } from '../../support/ng.js';
import { suite } from './builtin-comparison.js';
import { party, sdpOf } from './builtin-scene.js';

suite('media pass both ways, and re-INVITEs of both parties keep the ports', async (t, proxy) => {
  const [caller, callee] = [await party(t), await party(t)];
  const call = newCall();
  const forCallee = relayedTo(await proxy.offer(call, sdpOf(caller)));
  const forCaller = relayedTo(await proxy.answer(call, sdpOf(callee)));
  t.is(forCallee.address, '127.0.0.1');
  t.deepEqual([forCallee.port % 2, forCaller.port % 2], [0, 0]);

  const sent = await caller.sendRtp(forCaller);
  t.deepEqual((await callee.rtp.nth(1)).data, sent);
  const back = await callee.sendRtp(forCallee);
  const heard = await caller.rtp.nth(1);
  t.deepEqual(heard.data, back);
  t.is(heard.from.port, forCaller.port);
  await caller.sendRtcp(forCaller);
  t.is((await callee.rtcp.nth(1)).from.port, forCallee.rtcpPort);

  t.deepEqual(relayedTo(await proxy.offer(call, sdpOf(caller, 2), { inDialog: true })), forCallee);
  t.deepEqual(relayedTo(await proxy.answer(call, sdpOf(callee, 2))), forCaller);
  t.deepEqual(relayedTo(await proxy.offer(reversed(call), sdpOf(callee, 3), { inDialog: true })), forCaller);
  t.deepEqual(relayedTo(await proxy.answer(reversed(call), sdpOf(caller, 3))), forCallee);

  t.deepEqual(await proxy.list(), [call.callId]);
  const { tags, totals, result } = await proxy.query(call);
  t.is(result, 'ok');
  t.deepEqual(Object.keys(tags as NgDictionary).sort(), [call.fromTag, call.toTag].sort());
  t.like(totals, { RTP: { packets: 2 }, RTCP: { packets: 1 } });
  t.is((await proxy.delete(call))['result'], 'ok');
  t.deepEqual(await proxy.list(), []);
  t.is((await proxy.query(call))['error-reason'], 'Unknown call-id');
});

suite('a query tells whether both parties have said where their media are', async (t, proxy) => {
  const isAnswered = async (call: CallTags) =>
    ng.callIn(encodeBody(await proxy.query(call), 'bencode')).isAnswered;
  const call = newCall();
  await proxy.offer(call, audioSdp({ address: '127.0.0.1', port: 4000 }));
  t.false(await isAnswered(call));
  await proxy.answer(call, audioSdp({ address: '127.0.0.1', port: 5000 }));
  t.true(await isAnswered(call));
  // A re-INVITE to a relay that does not have the call.
  const reinvited = newCall();
  await proxy.offer(reinvited, audioSdp({ address: '127.0.0.1', port: 4000 }), { inDialog: true });
  t.false(await isAnswered(reinvited));
});

suite('rejected media, hold and other lines of the SDP', async (t, proxy) => {
  const call = newCall();
  const more = [
    'm=video 0 RTP/AVP 96',
    'm=audio 5000 RTP/SAVP 8',
    'a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz',
  ];
  const offered = await proxy.offer(call, audioSdp({ address: '127.0.0.1', port: 4000, more }));
  const media = mediaAddresses(String(offered['sdp']));
  t.deepEqual(
    media.map(({ port }) => port === 0),
    [false, true, false],
  );
  t.regex(String(offered['sdp']), /^o=phone 3890283498 1 IN IP4 127\.0\.0\.1\r$/m);
  t.regex(String(offered['sdp']), /^a=fmtp:101 0-15\r$/m);
  t.regex(String(offered['sdp']), /^a=crypto:1 /m);
  const held = newCall();
  await proxy.offer(held, audioSdp({ address: '127.0.0.1', port: 4000 }));
  await proxy.answer(held, audioSdp({ address: '127.0.0.1', port: 5000 }));
  const hold = await proxy.offer(held, audioSdp({ address: '0.0.0.0', port: 4000, version: 2 }), {
    inDialog: true,
  });
  t.regex(String(hold['sdp']), /^c=IN IP4 0\.0\.0\.0\r$/m);
});

suite('errors and warnings, word for word', async (t, proxy) => {
  const sdp = audioSdp({ address: '127.0.0.1', port: 4000 });
  const id = newCall().callId;
  const refused: [NgDictionary, string][] = [
    [{ command: 'answer', 'call-id': id, 'from-tag': 'f', 'to-tag': 't', sdp }, 'Unknown call-id'],
    [{ command: 'query', 'call-id': id }, 'Unknown call-id'],
    [{ command: 'query' }, 'No call-id in message'],
    [{ command: 'delete' }, 'No call-id in message'],
    [{ command: 'offer', 'from-tag': 'f', sdp }, 'No call-id in message'],
    [{ command: 'offer', 'call-id': id, sdp }, 'No from-tag in message'],
    [{ command: 'offer', 'call-id': id, 'from-tag': 'f' }, 'No SDP body in message'],
    [{ command: 'answer', 'call-id': id, 'from-tag': 'f', sdp }, 'No to-tag in message'],
    [{ command: 'offer', 'call-id': id, 'from-tag': 'f', sdp: 'hello' }, 'Failed to parse SDP'],
    [{ command: 'bogus', 'call-id': id }, 'Unrecognized command'],
    [{ command: 'pause recording', 'call-id': id }, 'Unrecognized command'],
    [{ 'call-id': id }, 'Dictionary contains no key "command"'],
  ];
  for (const [request, reason] of refused) {
    t.deepEqual({ ...(await proxy.request(request)) }, { result: 'error', 'error-reason': reason });
  }
  const warning = { result: 'ok', warning: "Call-ID not found or tags didn't match" };
  t.deepEqual({ ...(await proxy.delete(newCall())) }, warning);
  const call = newCall();
  await proxy.offer(call, sdp);
  t.deepEqual({ ...(await proxy.delete({ ...call, fromTag: 'stranger' })) }, warning);
  t.deepEqual({ ...(await proxy.ping()) }, { result: 'pong' });
});

suite('statistics have the numbers that monitoring reads', async (t, proxy) => {
  await proxy.offer(newCall(), audioSdp({ address: '127.0.0.1', port: 4000 }));
  const { currentstatistics, totalstatistics } = (await proxy.statistics())['statistics'] as Record<
    string,
    NgDictionary
  >;
  t.is(currentstatistics?.['sessionstotal'], 1);
  t.is(currentstatistics?.['sessionsown'], 1);
  t.is(currentstatistics?.['packetrate'], 0);
  t.regex(String(totalstatistics?.['uptime']), /^\d+$/);
  t.is(typeof totalstatistics?.['uptime'], 'string');
  t.is(typeof totalstatistics?.['managedsessions'], 'number');
});

suite('all ports in use, and room again after a delete', async (t, proxy) => {
  const sdp = audioSdp({ address: '127.0.0.1', port: 4000 });
  const calls = [];
  let reply: NgDictionary;
  do {
    const call = newCall();
    reply = await proxy.offer(call, sdp);
    if (reply['result'] === 'ok') {
      calls.push(call);
    }
  } while (reply['result'] === 'ok' && calls.length < 50);
  t.is(reply['error-reason'], 'Ran out of ports');
  for (const call of calls) {
    await proxy.delete(call);
  }
  t.deepEqual(await proxy.list(), []);
  t.is((await proxy.offer(newCall(), sdp))['result'], 'ok');
});

suite('bytes that are not UTF-8 pass, and Call-IDs of any kind are kept', async (t, proxy) => {
  const strange = Buffer.from(Array.from({ length: 128 }, (_, index) => 128 + index));
  const [head = '', tail = ''] = audioSdp({ address: '127.0.0.1', port: 4000 }).split('s=call\r\n');
  const lines = [
    Buffer.from(`${head}s=`),
    strange,
    Buffer.from('\r\ni='),
    strange,
    Buffer.from(`\r\n${tail}`),
  ];
  const ids = ['two words', ' leading', 'Grüße-☎-呼', 'a/b%2F*', 'x'.repeat(4096), 'ü'.repeat(2048)];
  for (const id of ids) {
    const offer = { command: 'offer', 'call-id': id, 'from-tag': 'f', sdp: Buffer.concat(lines) };
    const reply = await proxy.request(offer);
    t.true(Buffer.isBuffer(reply['sdp']), JSON.stringify(reply));
    const sdp = reply['sdp'] as Buffer;
    t.true(sdp.includes(Buffer.concat([Buffer.from('s='), strange, Buffer.from('\r\n')])));
    t.is((await proxy.request({ command: 'query', 'call-id': id }))['result'], 'ok');
  }
  t.deepEqual((await proxy.list()).sort(), [...ids].sort());
  for (const id of ids) {
    const reply = await proxy.request({ command: 'delete', 'call-id': id, 'from-tag': 'f' });
    t.is(reply['warning'], undefined);
  }
  t.deepEqual(await proxy.list(), []);
});
