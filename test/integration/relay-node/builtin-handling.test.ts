import test from 'ava';
import { audioSdp, newCall } from '../../support/ng.js';
import { suite } from './builtin-comparison.js';
import { established, until } from './builtin-scene.js';

test('what a party sends is blocked or silenced, and passes again', async (t) => {
  const { proxy, call, caller, callee, forCaller, forCallee, relay } = await established(t);
  const ask = (command: string, extra = {}) =>
    proxy.request({ command, 'call-id': call.callId, 'from-tag': call.fromTag, ...extra });
  t.is((await ask('block media'))['result'], 'ok');
  await caller.sendRtp(forCaller);
  await until(() => relay.media.traffic.undeliveredPackets === 1);
  await callee.sendRtp(forCallee);
  await caller.rtp.nth(1);
  const report = await caller.sendRtcp(forCaller);
  t.deepEqual((await callee.rtcp.nth(1)).data, report, 'RTCP passes');

  t.is((await ask('silence media'))['result'], 'ok');
  const sent = await caller.sendRtp(forCaller);
  const heard = (await callee.rtp.nth(1)).data;
  t.deepEqual(heard.subarray(0, 12), sent.subarray(0, 12));
  t.true(
    heard.subarray(12).every((byte) => byte === 0xd5),
    'A-law',
  );
  await caller.sendRtp(forCaller, 0);
  t.true(
    (await callee.rtp.nth(2)).data.subarray(12).every((byte) => byte === 0xff),
    'µ-law',
  );
  await caller.sendRtp(forCaller, 101);
  await until(() => relay.media.traffic.undeliveredPackets === 2);

  t.is((await ask('unsilence media'))['result'], 'ok');
  const passed = await caller.sendRtp(forCaller);
  t.deepEqual((await callee.rtp.nth(3)).data, passed);
  t.is((await ask('block media', { flags: ['all'] }))['result'], 'ok');
  await callee.sendRtp(forCallee);
  await until(() => relay.media.traffic.undeliveredPackets === 3);
});

suite('block, unblock and silence are asked for alike', async (t, proxy) => {
  const call = newCall();
  const sdp = audioSdp({ address: '127.0.0.1', port: 4000 });
  await proxy.offer(call, sdp);
  await proxy.answer(call, sdp);
  const party = { 'call-id': call.callId, 'from-tag': call.fromTag };
  for (const command of ['block media', 'unblock media', 'silence media', 'unsilence media']) {
    t.deepEqual({ ...(await proxy.request({ command, ...party })) }, { result: 'ok' });
    const stranger = await proxy.request({ command, ...party, 'from-tag': 'nobody' });
    t.is(stranger['error-reason'], 'From-tag given, but no such tag exists');
    const unknown = await proxy.request({ command, ...party, 'call-id': 'nosuch' });
    t.is(unknown['error-reason'], 'Unknown call-ID');
    t.is((await proxy.request({ command, 'call-id': call.callId }))['result'], 'ok', 'all of them');
  }
});
