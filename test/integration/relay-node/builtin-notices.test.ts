import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import test, { type ExecutionContext } from 'ava';
import { systemClock } from '../../../services/runtime/clock.js';
import { audioSdp, newCall, type ProxyClient, relayedTo } from '../../support/ng.js';
import { testWith } from '../../support/requirement.js';
import { eventPacket, PacketSocket, type RtpParty } from '../../support/rtp.js';
import { startRtpengine } from '../../support/rtpengine.js';
import { established, party, proxyOf, scene, sdpOf } from './builtin-scene.js';

const host = '127.0.0.1';

async function listener(t: ExecutionContext): Promise<PacketSocket> {
  const socket = await PacketSocket.open(host);
  t.teardown(() => socket.close());
  return socket;
}

/** @returns the n-th that was told, from 1 */
async function told(log: PacketSocket, n: number): Promise<Record<string, unknown>> {
  return JSON.parse((await log.nth(n)).data.toString());
}

/** One of 100 ms, as phones send it: four packets, and its end three times. */
async function press(
  phone: RtpParty,
  to: { port: number; address: string },
  code: number,
  payloadType = 101,
) {
  const event = { payloadType, timestamp: 1000 * (code + 1), code };
  for (let part = 1; part <= 7; part++) {
    const [isEnd, duration] = [part > 4, Math.min(part, 5) * 160];
    const packet = eventPacket({ ...event, sequence: 10 * code + part, isEnd, duration });
    await phone.rtp.send(packet, to.port, to.address);
  }
}

async function keysAreTold(t: ExecutionContext, proxy: ProxyClient, log: PacketSocket): Promise<void> {
  const [caller, callee] = [await party(t), await party(t)];
  const call = newCall();
  const forCallee = relayedTo(await proxy.offer(call, sdpOf(caller)));
  const forCaller = relayedTo(await proxy.answer(call, sdpOf(callee)));
  await press(caller, forCaller, 5);
  const { timestamp, tags, ...first } = await told(log, 1);
  t.deepEqual(first, {
    ...{ callid: call.callId, source_tag: call.fromTag, type: 'DTMF', source_ip: host },
    ...{ event: 5, duration: 100, volume: 10 },
  });
  t.deepEqual([...(tags as string[])].sort(), [call.fromTag, call.toTag].sort());
  t.true(Math.abs(Number(timestamp) - Date.now() / 1000) < 60);
  t.is((await callee.rtp.nth(7)).data.length, 16, 'the other party hears all of it');
  await press(callee, forCallee, 11);
  t.like(await told(log, 2), { source_tag: call.toTag, event: 11, duration: 100 });
  await press(caller, forCaller, 6);
  t.like(await told(log, 3), { source_tag: call.fromTag, event: 6 });
  t.is(log.heard.length, 3);
}

test('built-in: keys are told, once each', async (t) => {
  const log = await listener(t);
  const { proxy, relay } = await scene(t, { dtmfLog: { host, port: log.port }, clock: systemClock });
  await keysAreTold(t, proxy, log);
  t.deepEqual(relay.noticeCounters, { 'dtmf-log': { sent: 3, dropped: 0, failed: 0 } });
});

testWith(['rtpengine'], 'rtpengine: keys are told, once each', async (t) => {
  const log = await listener(t);
  const { port } = await startRtpengine(t, [`--dtmf-log-dest=${host}:${log.port}`]);
  await keysAreTold(t, await proxyOf(t, port), log);
});

test('events have the payload type of either party, and none where they are encrypted', async (t) => {
  const log = await listener(t);
  const { proxy } = await scene(t, { dtmfLog: { host, port: log.port } });
  for (const [change, codes] of [
    [(sdp: string) => sdp, [1, 2]],
    [(sdp: string) => sdp.replace('RTP/AVP', 'RTP/SAVP'), []],
    [(sdp: string) => sdp.replace(/a=rtpmap:101 .*\r\n/, ''), [2]],
  ] as const) {
    const [caller, callee] = [await party(t), await party(t)];
    const call = newCall();
    await proxy.offer(call, change(sdpOf(caller)));
    const { address, port } = callee;
    const answer = audioSdp({ address, port })
      .replace(/ 101\r/, ' 97\r')
      .replaceAll(':101 ', ':97 ');
    const forCaller = relayedTo(await proxy.answer(call, change(answer)));
    const before = log.heard.length;
    await press(caller, forCaller, 1);
    await press(caller, forCaller, 2, 97);
    await callee.rtp.nth(14);
    await press(caller, forCaller, 3, 98);
    await callee.rtp.nth(21);
    const events = log.heard.slice(before).map(({ data }) => JSON.parse(data.toString())['event']);
    t.deepEqual(events, codes);
  }
});

test('a webhook hears of keys, and of a call that times out', async (t) => {
  const heard: unknown[] = [];
  const server = createServer(async (request, response) => {
    heard.push(await json(request));
    response.writeHead(204).end();
    server.emit('heard');
  });
  server.listen(0, host);
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const { relay, call, caller, callee, forCaller, clock } = await established(t, {
    webhook: `http://${host}:${port}/calls`,
  });
  const told = async (notices: number) => {
    while (heard.length < notices) {
      await once(server, 'heard', { signal: AbortSignal.timeout(10_000) });
    }
  };
  await press(caller, forCaller, 5);
  await told(1);
  await callee.rtp.nth(7);
  const both = { callid: call.callId, tags: [call.fromTag, call.toTag] };
  const key = { source_tag: call.fromTag, source_ip: host, event: 5, duration: 100, volume: 10 };
  const timestamp = Math.floor(clock.wallMs() / 1000);
  t.deepEqual(heard, [{ ...both, ...key, type: 'DTMF', timestamp }]);
  clock.advance(61_000);
  await told(2);
  t.deepEqual(heard[1], { ...both, type: 'TIMEOUT', reason: 'silent', timestamp: timestamp + 60 });
  t.is(relay.noticeCounters.webhook?.dropped, 0);
});
