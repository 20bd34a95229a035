import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { systemClock } from '../../../services/runtime/clock.js';
import { audioSdp } from '../../support/ng.js';
import { wavFile } from '../../support/wav.js';
import { mediaOf, rtpproxyScene, toldBy } from './builtin-rtpproxy-scene.js';
import { established, party } from './builtin-scene.js';

function promptsOf(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-prompts-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  writeFileSync(join(directory, 'tone.wav'), wavFile({ samples: Array.from({ length: 480 }, () => 1000) }));
  writeFileSync(join(directory, 'bad.wav'), 'hello');
  symlinkSync('/etc/passwd', join(directory, 'link.wav'));
  return directory;
}

test('play media, stop media: a party hears a wav file, and meanwhile nothing else', async (t) => {
  const { proxy, call, caller, callee, forCaller, forCallee, relay } = await established(t, {
    promptDirectory: promptsOf(t),
    clock: systemClock,
  });
  t.true((await relay.features()).includes('play'));
  await caller.sendRtp(forCaller);
  await callee.rtp.nth(1);
  await callee.sendRtp(forCallee);
  await caller.rtp.nth(1);
  const ask = (command: string, extra = {}) =>
    proxy.request({ command, 'call-id': call.callId, 'from-tag': call.fromTag, ...extra });
  t.deepEqual({ ...(await ask('play media', { file: 'tone.wav' })) }, { duration: 60, result: 'ok' });
  for (const [nth, marker] of [
    [2, 0x80],
    [3, 0],
    [4, 0],
  ] as const) {
    const { data, from } = await caller.rtp.nth(nth);
    t.deepEqual([data[1], data.length, from.port], [8 | marker, 172, forCaller.port]);
    t.true(data.subarray(12).every((byte) => byte === 0xfa));
  }
  t.is((await ask('play media', { file: 'tone.wav', 'repeat-times': 1000 }))['result'], 'ok');
  await caller.rtp.nth(5);
  await callee.sendRtp(forCallee);
  await caller.sendRtcp(forCaller);
  await callee.rtcp.nth(1);
  t.is((await ask('stop media'))['result'], 'ok');
  const back = await callee.sendRtp(forCallee);
  const heard = () => caller.rtp.heard.filter(({ data }) => data.readUInt32BE(8) === callee.ssrc >>> 0);
  while (heard().length < 2) {
    await caller.rtp.nth(caller.rtp.heard.length + 1);
  }
  t.deepEqual(heard()[1]?.data, back, 'what came meanwhile was held back');
  t.is((await ask('stop media'))['result'], 'ok');
});

test('music on hold is there without being put there, unless another file of its name is', async (t) => {
  const directory = promptsOf(t);
  const { proxy, call, caller } = await established(t, { promptDirectory: directory, clock: systemClock });
  const play = async () =>
    proxy.request({
      ...{ command: 'play media', 'call-id': call.callId, 'from-tag': call.fromTag },
      ...{ file: 'music-on-hold.wav' },
    });
  t.deepEqual({ ...(await play()) }, { duration: 16_000, result: 'ok' });
  await caller.rtp.nth(2);
  t.true(new Set((await caller.rtp.nth(2)).data.subarray(12)).size > 10, 'there is sound in it');
  symlinkSync(join(directory, 'tone.wav'), join(directory, 'music-on-hold.wav'));
  t.is((await play())['duration'], 60);
});

test('what cannot be played is refused, and why', async (t) => {
  const { proxy, call } = await established(t, { promptDirectory: promptsOf(t), clock: systemClock });
  const play = async (extra: object) => {
    const named = { 'call-id': call.callId, 'from-tag': call.fromTag };
    return (await proxy.request({ command: 'play media', ...named, ...extra }))['error-reason'];
  };
  t.is(await play({}), 'No media file specified');
  t.regex(String(await play({ file: 'none.wav' })), /^Failed to start media playback from file: ENOENT/);
  t.regex(String(await play({ file: 'bad.wav' })), /from file: not a wav file$/);
  for (const file of ['link.wav', '/etc/passwd', '../../../etc/passwd']) {
    t.regex(String(await play({ file })), /: (?:not below |ENOENT)/, file);
  }
  t.is(await play({ blob: 'x' }), 'Option "blob" is not supported by this relay');
  t.is(await play({ file: 'tone.wav', 'from-tag': 'nobody' }), 'From-tag given, but no such tag exists');
  t.is(await play({ file: 'tone.wav', 'call-id': 'nosuch' }), 'Unknown call-ID');
  const without = audioSdp({ address: '127.0.0.1', port: 4000 }).replace('RTP/AVP 8 0 101', 'RTP/AVP 96 101');
  await proxy.offer(call, without, { inDialog: true });
  t.is(await play({ file: 'tone.wav' }), 'No media of G.711 to play to');
});

test('P and S of rtpproxy play to the party of the first tag', async (t) => {
  const { ask } = await rtpproxyScene(t, { promptDirectory: promptsOf(t), clock: systemClock });
  const [caller, callee] = [await party(t), await party(t)];
  await ask(`Uc0,8 c ${mediaOf(caller)} f`);
  toldBy(await ask(`Lc8,0 c ${mediaOf(callee)} f t`));
  t.is(await ask('P c tone session t f'), '0');
  t.is((await callee.rtp.nth(1)).data[1], 0x88, 'the codec that it prefers');
  await callee.rtp.nth(3);
  t.is(await ask('P-1 c tone 0 f t'), '0');
  t.is((await caller.rtp.nth(1)).data[1], 0x80);
  t.is(await ask('P c music-on-hold session f t'), '0');
  t.is(await ask('S c f t'), '0');
  t.is(await ask('S c f t'), '0');
  t.is(await ask('P c nosuch session f t'), 'E60');
  t.is(await ask('P c tone 18 f t'), 'E60');
  t.is(await ask('Px c tone session f t'), 'E17');
  t.is(await ask('P nosuch tone session f t'), 'E50');
  t.is(callee.rtp.heard.length, 3);
});
