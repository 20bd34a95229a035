import test from 'ava';
import type { NgDictionary } from '../../../services/control/ng/message.js';
import { audioSdp, mediaAddresses, newCall, relayedTo, reversed } from '../../support/ng.js';
import type { RtpParty } from '../../support/rtp.js';
import { established, party, scene, sdpOf } from './builtin-scene.js';

test('a re-INVITE of the callee keeps the ports, the other way round', async (t) => {
  const { proxy, call, caller, callee, forCaller, forCallee } = await established(t);
  const back = reversed(call);
  t.deepEqual(relayedTo(await proxy.offer(back, sdpOf(callee, 2), { inDialog: true })), forCaller);
  t.deepEqual(relayedTo(await proxy.answer(back, sdpOf(caller, 2))), forCallee);
  await callee.sendRtp(forCallee);
  await caller.rtp.nth(1);
});

test('the first offer again, after a challenge for example, gets the same ports', async (t) => {
  const { proxy, relay } = await scene(t);
  const caller = await party(t);
  const call = newCall();
  const first = relayedTo(await proxy.offer(call, sdpOf(caller)));
  t.deepEqual(relayedTo(await proxy.offer(call, sdpOf(caller))), first);
  t.is(relay.media.load().calls, 1);
  t.is(relay.media.load().portPairsFree, relay.media.load().portPairs - 2);
});

test('media are added, rejected and switched off', async (t) => {
  const { proxy, relay } = await scene(t);
  const [caller, callee] = [await party(t), await party(t)];
  const call = newCall();
  const used = () => relay.media.load().portPairs - relay.media.load().portPairsFree;
  const withVideo = (phone: RtpParty, videoPort: number, version: number) =>
    audioSdp({
      address: phone.address,
      port: phone.port,
      version,
      more: [`m=video ${videoPort} RTP/AVP 96`, 'm=text 0 RTP/AVP 98'],
    });
  const ports = (reply: NgDictionary) => mediaAddresses(String(reply['sdp'])).map(({ port }) => port);

  const [audio, video, rejected] = ports(await proxy.offer(call, withVideo(caller, 5000, 1)));
  t.is(used(), 4);
  t.is(rejected, 0);
  t.not(video, 0);
  t.is(ports(await proxy.answer(call, withVideo(callee, 0, 1)))[1], 0, 'the callee has no camera');
  t.is(used(), 2);
  const again = ports(await proxy.offer(call, withVideo(caller, 5000, 2), { inDialog: true }));
  t.is(again[0], audio);
  t.not(again[1], 0);
  t.is(used(), 4);
  await proxy.answer(call, withVideo(callee, 6000, 2));
  const off = ports(await proxy.offer(call, withVideo(caller, 0, 3), { inDialog: true }));
  t.deepEqual(off, [audio, 0, 0]);
  t.is(used(), 4, 'the re-INVITE may yet be refused');
  await proxy.answer(call, withVideo(callee, 0, 3));
  t.is(used(), 2);
});

test('too many media are refused before any port is taken', async (t) => {
  const { proxy, relay } = await scene(t);
  const more = Array.from({ length: 32 }, (_, index) => `m=video ${5000 + 2 * index} RTP/AVP 96`);
  const reply = await proxy.offer(newCall(), audioSdp({ address: '127.0.0.1', port: 4000, more }));
  t.deepEqual({ ...reply }, { result: 'error', 'error-reason': 'More than 32 media in the SDP' });
  t.is(relay.media.load().calls, 0);
});

test('hold by sendonly keeps the call through an hour of silence, and no longer', async (t) => {
  const { proxy, relay, clock, call, caller, callee } = await established(t);
  await proxy.offer(
    call,
    audioSdp({ address: caller.address, port: caller.port, version: 2, direction: 'sendonly' }),
    { inDialog: true },
  );
  await proxy.answer(
    call,
    audioSdp({ address: callee.address, port: callee.port, version: 2, direction: 'recvonly' }),
  );
  clock.advance(3_599_000);
  t.is(relay.media.load().calls, 1);
  clock.advance(2000);
  t.is(relay.media.load().calls, 0);
});

test('a silent call times out; packets keep it', async (t) => {
  const { proxy, relay, clock, call, caller, callee, forCaller } = await established(t);
  clock.advance(59_000);
  await caller.sendRtp(forCaller);
  await callee.rtp.nth(1);
  clock.advance(59_000);
  t.is(relay.media.load().calls, 1);
  clock.advance(2000);
  t.is(relay.media.load().calls, 0);
  t.is((await proxy.query(call))['error-reason'], 'Unknown call-id');
});

test('an offer that nobody answers ends, though ringing takes longer than a silent call may', async (t) => {
  const { proxy, relay, clock } = await scene(t);
  await proxy.offer(newCall(), audioSdp({ address: '127.0.0.1', port: 4000 }));
  clock.advance(180_000);
  t.is(relay.media.load().calls, 1);
  clock.advance(121_000);
  t.is(relay.media.load().calls, 0);
  t.is(relay.media.load().portPairsFree, relay.media.load().portPairs);
});

test('all ports in use is an error; a deleted call makes room', async (t) => {
  const { proxy, relay } = await scene(t, { pairs: 4 });
  const calls = [newCall(), newCall(), newCall()] as const;
  const sdp = audioSdp({ address: '127.0.0.1', port: 4000 });
  t.is((await proxy.offer(calls[0], sdp))['result'], 'ok');
  t.is((await proxy.offer(calls[1], sdp))['result'], 'ok');
  t.deepEqual(
    { ...(await proxy.offer(calls[2], sdp)) },
    { result: 'error', 'error-reason': 'Ran out of ports' },
  );
  t.is(relay.media.load().calls, 2, 'the call that got no ports does not exist');
  t.is((await proxy.delete(calls[0]))['result'], 'ok');
  t.is((await proxy.offer(calls[2], sdp))['result'], 'ok');
});

test('a re-INVITE that finds no ports for a new media changes nothing', async (t) => {
  const { proxy, call, caller, callee, forCaller } = await established(t, { pairs: 2 });
  const more = ['m=video 5000 RTP/AVP 96'];
  const reply = await proxy.offer(call, audioSdp({ address: '10.9.9.9', port: 9, version: 2, more }), {
    inDialog: true,
  });
  t.is(reply['error-reason'], 'Ran out of ports');
  await caller.sendRtp(forCaller);
  await callee.rtp.nth(1);
});

test('delete: by tags in either order, by branch, and of what is not there', async (t) => {
  const { proxy, relay } = await scene(t);
  const warning = { result: 'ok', warning: "Call-ID not found or tags didn't match" };
  t.deepEqual({ ...(await proxy.delete(newCall())) }, warning);
  const sdp = audioSdp({ address: '127.0.0.1', port: 4000 });
  const create = async () => {
    const call = newCall();
    await proxy.offer(call, sdp);
    await proxy.answer(call, sdp);
    return call;
  };
  const call = await create();
  t.deepEqual({ ...(await proxy.delete({ ...call, fromTag: 'stranger', toTag: '' })) }, warning);
  t.deepEqual({ ...(await proxy.delete({ ...call, toTag: 'stranger' })) }, warning);
  t.is(relay.media.load().calls, 1);
  const reply = await proxy.delete(reversed(call));
  t.is(reply['result'], 'ok');
  t.truthy(reply['totals']);
  t.is(relay.media.load().calls, 0);
  const second = await create();
  await proxy.request({ command: 'delete', 'call-id': second.callId });
  const third = await create();
  await proxy.request({ command: 'delete', 'call-id': third.callId, 'from-tag': third.fromTag });
  t.is(relay.media.load().calls, 0);
});

test('branches that are offered apart have ports of their own, and end apart', async (t) => {
  const { proxy, relay } = await scene(t);
  const call = newCall();
  const sdp = audioSdp({ address: '127.0.0.1', port: 4000 });
  const branch = (id: string) => ({ extra: { 'via-branch': id } });
  const one = relayedTo(await proxy.offer(call, sdp, branch('z9hG4bK1')));
  const two = relayedTo(await proxy.offer(call, sdp, branch('z9hG4bK2')));
  t.not(one.port, two.port);
  t.deepEqual(relayedTo(await proxy.offer(call, sdp, branch('z9hG4bK1'))), one);
  await proxy.answer({ ...call, toTag: 'second' }, sdp, { 'via-branch': 'z9hG4bK2' });
  const again = await proxy.offer({ ...call, toTag: 'second' }, sdp, { inDialog: true });
  t.deepEqual(relayedTo(again), two, 'in the dialog the tags lead to the branch');
  await proxy.request({
    command: 'delete',
    'call-id': call.callId,
    'from-tag': call.fromTag,
    'via-branch': 'z9hG4bK1',
  });
  t.is(relay.media.load().portPairsFree, relay.media.load().portPairs - 2);
  t.is(relay.media.load().calls, 1);
  await proxy.delete({ ...call, toTag: 'second' });
  t.is(relay.media.load().calls, 0);
  for (let n = 0; n < 8; n++) {
    await proxy.offer(call, sdp, branch(`b${n}`));
  }
  const full = await proxy.offer(call, sdp, branch('one more'));
  t.is(full['error-reason'], 'Ran out of ports');
});
