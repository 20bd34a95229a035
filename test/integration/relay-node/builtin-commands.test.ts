import test from 'ava';
import { BuiltinRelay, type BuiltinRelayOptions } from '../../../relay-node/relays/builtin.js';
import type { NgDictionary } from '../../../services/control/ng/message.js';
import { silentLogger } from '../../../services/runtime/log.js';
import { ManualClock } from '../../support/clock.js';
import { interfacesAt } from '../../support/media-interface.js';
import { audioSdp, newCall, relayedTo } from '../../support/ng.js';
import { receptionReport } from '../../support/rtp.js';
import { controlPort, established, scene, until } from './builtin-scene.js';

test('more calls than allowed are refused in the words that the proxy understands', async (t) => {
  const { proxy } = await scene(t, { maxSessions: 1 });
  const sdp = audioSdp({ address: '127.0.0.1', port: 4000 });
  const first = newCall();
  await proxy.offer(first, sdp);
  t.deepEqual({ ...(await proxy.offer(newCall(), sdp)) }, { result: 'load limit' });
  const plain = await proxy.offer(newCall(), sdp, { extra: { supports: [] } });
  t.deepEqual({ ...plain }, { result: 'error', 'error-reason': 'Parallel session limit reached' });
  t.is((await proxy.offer(first, sdp))['result'], 'ok', 'a call that is there may go on');
});

test("what is missing or wrong in a request is said in rtpengine's words", async (t) => {
  const { proxy, relay } = await scene(t);
  const call = newCall();
  const sdp = audioSdp({ address: '127.0.0.1', port: 4000 });
  await proxy.offer(call, sdp);
  const id = call.callId;
  const cases: [NgDictionary, string][] = [
    [{ command: 'answer', 'call-id': 'other', 'from-tag': 'f', 'to-tag': 't', sdp }, 'Unknown call-id'],
    [{ command: 'query', 'call-id': 'other' }, 'Unknown call-id'],
    [{ command: 'query' }, 'No call-id in message'],
    [{ command: 'delete' }, 'No call-id in message'],
    [{ command: 'offer', 'from-tag': 'f', sdp }, 'No call-id in message'],
    [{ command: 'offer', 'call-id': id, sdp }, 'No from-tag in message'],
    [{ command: 'offer', 'call-id': id, 'from-tag': 'f' }, 'No SDP body in message'],
    [{ command: 'answer', 'call-id': id, 'from-tag': 'f', sdp }, 'No to-tag in message'],
    [{ command: 'offer', 'call-id': 'new', 'from-tag': 'f', sdp: 'hello' }, 'Failed to parse SDP'],
    [
      { command: 'offer', 'call-id': 'x'.repeat(4097), 'from-tag': 'f', sdp },
      'Call-id longer than 4096 bytes',
    ],
    [{ command: 'offer', 'call-id': id, 'from-tag': 'x'.repeat(513), sdp }, 'from-tag longer than 512 bytes'],
    [{ command: 'start recording', 'call-id': id }, 'Unrecognized command'],
    [{ 'call-id': id }, 'Dictionary contains no key "command"'],
  ];
  for (const [request, reason] of cases) {
    t.deepEqual({ ...(await proxy.request(request)) }, { result: 'error', 'error-reason': reason });
  }
  t.is(relay.media.load().calls, 1);
});

test('list, query and statistics', async (t) => {
  const { proxy, relay, clock, call, caller, callee, forCaller } = await established(t);
  t.deepEqual(await proxy.list(), [call.callId]);
  t.deepEqual(relay.media.sessions.ids(), [call.callId]);
  t.deepEqual(await proxy.list(0), []);
  await caller.sendRtp(forCaller);
  await callee.rtp.nth(1);
  const { tags, totals } = (await proxy.query(call)) as unknown as {
    tags: Record<
      string,
      { subscriptions: { tag: string }[]; medias: { streams: Record<string, unknown>[] }[] }
    >;
    totals: { RTP: { packets: number } };
  };
  t.is(totals.RTP.packets, 1);
  t.deepEqual(Object.keys(tags).sort(), [call.fromTag, call.toTag].sort());
  t.is(tags[call.fromTag]?.subscriptions[0]?.tag, call.toTag);
  const [rtp] = tags[call.fromTag]?.medias[0]?.streams ?? [];
  t.is(rtp?.['local port'], forCaller.port);
  t.like(rtp, { endpoint: { port: caller.port } });
  clock.advance(5000);
  const { currentstatistics, totalstatistics } = (await proxy.statistics())['statistics'] as {
    currentstatistics: NgDictionary;
    totalstatistics: NgDictionary;
  };
  t.is(currentstatistics['sessionstotal'], 1);
  t.is(totalstatistics['uptime'], '5');
  t.is(totalstatistics['managedsessions'], 1);
  t.is(totalstatistics['relayedpackets'], 1);
});

test('how parties hear each other, by their reports', async (t) => {
  const { proxy, relay, call, caller, callee, forCallee, clock } = await established(t);
  const about = { ssrc: caller.ssrc >>> 0, lossRatio: 0.125, lost: 7, jitter: 80 };
  clock.advance(3000);
  for (const lossRatio of [0, 0.25]) {
    const report = receptionReport(callee.ssrc, { ...about, lossRatio });
    await callee.rtcp.send(report, forCallee.rtcpPort, forCallee.address);
  }
  await caller.rtcp.nth(2);
  const { SSRC, tags } = (await proxy.query(call)) as unknown as {
    SSRC: Record<string, Record<string, NgDictionary>>;
    tags: Record<string, { created: number; medias: { streams: NgDictionary[] }[] }>;
  };
  const { 'average MOS': average, 'lowest MOS': lowest, ...more } = SSRC[String(about.ssrc)] ?? {};
  t.like(average, { jitter: 10, 'packet loss': 13, samples: 2 });
  t.is(lowest?.['packet loss'], 25);
  t.is(more['highest MOS']?.['packet loss'], 0);
  t.is(more['cumulative loss'] as unknown as number, 7);
  t.deepEqual(relay.media.traffic.receptionReports, { good: 1, fair: 0, poor: 0, bad: 1 });
  const { created = 0, medias } = tags[call.toTag] ?? {};
  t.deepEqual(
    medias?.[0]?.streams.map((stream) => Number(stream['last packet']) - created),
    [0, 3],
    'of each port',
  );
});

test('list names 32 calls unless told otherwise', async (t) => {
  const { proxy, relay } = await scene(t, { pairs: 70 });
  const sdp = audioSdp({ address: '127.0.0.1', port: 4000 });
  await Promise.all(Array.from({ length: 35 }, () => proxy.offer(newCall(), sdp)));
  t.is((await proxy.list()).length, 32);
  t.is((await proxy.list(1000)).length, 35);
  t.is(relay.media.sessions.ids().length, 35);
});

test('requests about one call are taken in turn', async (t) => {
  const { proxy, relay } = await scene(t);
  const call = newCall();
  const sdp = audioSdp({ address: '127.0.0.1', port: 4000 });
  const replies = await Promise.all([
    proxy.offer(call, sdp),
    proxy.offer(call, sdp),
    proxy.delete(call),
    proxy.offer(call, sdp),
  ]);
  t.deepEqual(
    replies.map((reply) => reply['result']),
    ['ok', 'ok', 'ok', 'ok'],
  );
  t.deepEqual(relayedTo(replies[0] as NgDictionary), relayedTo(replies[1] as NgDictionary));
  t.is(relay.media.load().calls, 1);
});

test('stop closes everything, in the middle of an offer too', async (t) => {
  const { proxy, relay } = await scene(t);
  const replies = Promise.allSettled(
    Array.from({ length: 8 }, () => proxy.offer(newCall(), audioSdp({ address: '127.0.0.1', port: 4000 }))),
  );
  await until(() => relay.ngCounters.received > 0);
  await relay.stop();
  await relay.stop();
  t.is(relay.media.load().calls, 0);
  await proxy.stop();
  await replies;
});

test('a wrong media address or a control port in use stops the start, with a reason', async (t) => {
  const { relay } = await scene(t);
  const port = controlPort(relay);
  const make = (options: Partial<BuiltinRelayOptions>) =>
    new BuiltinRelay({
      ngListen: { host: '127.0.0.1', port: 0 },
      interfaces: interfacesAt(),
      portMin: 30_000,
      portMax: 30_001,
      maxSessions: 1,
      idleTimeoutMs: 1000,
      clock: new ManualClock(),
      log: silentLogger,
      ...options,
    });
  await t.throwsAsync(make({ ngListen: { host: '127.0.0.1', port } }).start(), {
    message: /another process has it/,
  });
  await t.throwsAsync(make({ interfaces: interfacesAt('192.0.2.1') }).start(), {
    message: /no such address/,
  });
  t.throws(() => make({ interfaces: interfacesAt('0.0.0.0') }), {
    message: /0\.0\.0\.0 of interface default is not an IP address that parties can/,
  });
  t.throws(() => make({ interfaces: interfacesAt('localhost') }), { message: /not an IP address/ });
  t.notThrows(() => make({ interfaces: interfacesAt('127.0.0.1', '192.0.2.1') }));
});

test('parties are told the advertised address', async (t) => {
  const { proxy } = await scene(t, { interfaces: interfacesAt('127.0.0.1', '203.0.113.9') });
  const reply = await proxy.offer(newCall(), audioSdp({ address: '127.0.0.1', port: 4000 }));
  t.is(relayedTo(reply).address, '203.0.113.9');
  t.regex(String(reply['sdp']), /^o=phone 3890283498 1 IN IP4 203\.0\.113\.9\r$/m);
});

test('an option that the relay does not have is refused by name, and begins no call', async (t) => {
  const { proxy, relay } = await scene(t);
  const call = newCall();
  const sdp = audioSdp({ address: '127.0.0.1', port: 4000 });
  const reply = await proxy.offer(call, sdp, { extra: { 'transport-protocol': 'RTP/SAVP' } });
  t.deepEqual(
    { ...reply },
    { result: 'error', 'error-reason': 'Option "transport-protocol" is not supported by this relay' },
  );
  t.is(relay.media.sessions.size, 0);
  t.is((await proxy.offer(call, sdp))['result'], 'ok');
  const answer = await proxy.answer(call, sdp, { flags: ['media handover'] });
  t.is(answer['error-reason'], 'Option "media-handover" is not supported by this relay');
});

test('the relay says which version of IP its media have', async (t) => {
  t.deepEqual(await (await scene(t)).relay.features(), ['ice', 'ipv4']);
  t.deepEqual(await (await scene(t, { mediaAddress: '::1' })).relay.features(), ['ice', 'ipv6']);
  const interfaces = [...interfacesAt(), { name: 'lan', address: '::1', advertised: '::1' }];
  t.deepEqual(await (await scene(t, { interfaces })).relay.features(), ['bridge', 'ice', 'ipv4', 'ipv6']);
});
