import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, unlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import type { RecordingFormat } from '../../../relay-node/media/recording/track.js';
import { decode, pcma } from '../../../relay-node/media/sound/g711.js';
import { BuiltinRelay } from '../../../relay-node/relays/builtin.js';
import type { NgDictionary } from '../../../services/control/ng/message.js';
import { silentLogger } from '../../../services/runtime/log.js';
import { ManualClock } from '../../support/clock.js';
import { interfacesAt } from '../../support/media-interface.js';
import { audioSdp, newCall } from '../../support/ng.js';
import { findProgram } from '../../support/program.js';
import { testWith } from '../../support/requirement.js';
import { rtpPacket } from '../../support/rtp.js';
import { mediaOf, rtpproxyScene, toldBy } from './builtin-rtpproxy-scene.js';
import { type Established, established, party, until } from './builtin-scene.js';

function directoryOf(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-recording-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Payloads of the datagrams of a capture, in order; the reader is independent of the writer. */
function payloadsIn(path: string): Buffer[] {
  const file = readFileSync(path);
  const payloads: Buffer[] = [];
  for (let at = 24; at + 16 <= file.length; ) {
    const bytes = file.readUInt32LE(at + 8);
    const packet = file.subarray(at + 16, at + 16 + bytes);
    payloads.push(packet.subarray((packet[0] as number) >> 4 === 6 ? 48 : 28));
    at += 16 + bytes;
  }
  return payloads;
}

async function talk({ caller, callee, forCaller, forCallee }: Established): Promise<Buffer[]> {
  const [heard, heardBack] = [callee.rtp.heard.length, caller.rtp.heard.length];
  const one = await caller.sendRtp(forCaller);
  await callee.rtp.nth(heard + 1);
  const other = await callee.sendRtp(forCallee);
  await caller.rtp.nth(heardBack + 1);
  return [one, other];
}

test('start recording, stop recording: a capture has what both parties sent meanwhile', async (t) => {
  const directory = directoryOf(t);
  const call = await established(t, { recordingDirectory: directory });
  const { proxy, call: tags, relay } = call;
  t.true((await relay.features()).includes('record'));
  await talk(call);
  const start = { command: 'start recording', 'call-id': tags.callId };
  t.deepEqual({ ...(await proxy.request(start)) }, { result: 'ok' });
  t.is((await proxy.request(start))['result'], 'ok', 'it goes on');
  const sent = [...(await talk(call)), ...(await talk(call))];
  const stop = { command: 'stop recording', 'call-id': tags.callId };
  t.deepEqual({ ...(await proxy.request(stop)) }, { result: 'ok' });
  t.is((await proxy.request(stop))['result'], 'ok');
  await talk(call);
  const [file = '', ...others] = readdirSync(directory);
  t.deepEqual(others, []);
  t.regex(file, new RegExp(`^${tags.callId.replaceAll('.', '\\.')}-[0-9a-f]{16}\\.pcap$`));
  t.deepEqual(payloadsIn(join(directory, file)), sent);
  const unknown = await proxy.request({ ...start, 'call-id': 'nosuch' });
  t.is(unknown['error-reason'], 'Unknown call-id');
  t.is(relay.media.recorder?.active, 0);
});

test('record-call in an offer records from the first packet on, and ends with the call', async (t) => {
  const directory = directoryOf(t);
  const call = await established(t, { recordingDirectory: directory });
  const { proxy, relay } = call;
  const tags = { ...newCall(), callId: '../../etc/é and *' };
  const caller = await party(t);
  const sdp = audioSdp({ address: caller.address, port: caller.port });
  t.is((await proxy.offer(tags, sdp, { extra: { 'record-call': 'on' } }))['result'], 'ok');
  t.is(relay.media.recorder?.active, 1);
  await proxy.answer(tags, audioSdp({ address: '127.0.0.1', port: 4000 }));
  await proxy.delete(tags);
  await until(() => relay.media.recorder?.active === 0);
  t.regex(readdirSync(directory).join(), /^%2e\.%2f\.\.%2fetc%2f%c3%a9%20and%20%2a-[0-9a-f]{16}\.pcap$/);
});

interface Wav {
  readonly channels: number;
  readonly rate: number;
  readonly bytes: number;
  readonly samples: number[];
}

/** As Python's own reader has it. */
async function readWav(path: string): Promise<Wav> {
  const program = [
    'import json, struct, sys, wave',
    'with wave.open(sys.argv[1]) as wav:',
    '    sound = wav.readframes(wav.getnframes())',
    '    samples = struct.unpack("<%dh" % (len(sound) // 2), sound)',
    '    head = {"channels": wav.getnchannels(), "rate": wav.getframerate(), "bytes": wav.getsampwidth()}',
    '    print(json.dumps({**head, "samples": samples}))',
  ].join('\n');
  const { stdout } = await promisify(execFile)(findProgram('python3') ?? 'python3', ['-c', program, path]);
  return JSON.parse(stdout) as Wav;
}

testWith(
  ['python3'],
  'wav: both parties mixed, or one a channel, as the request or the setting has it',
  async (t) => {
    const [level = 0] = decode(rtpPacket(1, 1).subarray(12, 13), pcma);
    const mixed = [
      ...new Array(160).fill(2 * level),
      ...new Array(160).fill(level),
      ...new Array(8000 - 320).fill(0),
    ];
    const apart = [
      ...new Array(160).fill([level, level]),
      ...new Array(160).fill([level, 0]),
      ...new Array(8000 - 320).fill([0, 0]),
    ];
    const asks: readonly (readonly [RecordingFormat, NgDictionary, number])[] = [
      ['pcap', { 'output-format': 'wav' }, 1],
      ['pcap', { flags: ['output-format=wav', 'mix-method=channels'] }, 2],
      ['wav', {}, 1],
      ['wav-channels', {}, 2],
      ['wav-channels', { 'mix-method': 'direct' }, 1],
    ];
    for (const [setting, asked, channels] of asks) {
      const directory = directoryOf(t);
      const call = await established(t, { recordingDirectory: directory, recordingFormat: setting });
      const about = { 'call-id': call.call.callId };
      t.is((await call.proxy.request({ command: 'start recording', ...about, ...asked }))['result'], 'ok');
      await talk(call);
      await call.caller.sendRtp(call.forCaller);
      await call.callee.rtp.nth(2);
      call.clock.advance(1000);
      await call.proxy.request({ command: 'stop recording', ...about });
      const [file = ''] = readdirSync(directory);
      t.regex(file, /\.wav$/);
      const { samples, ...head } = await readWav(join(directory, file));
      t.deepEqual(head, { channels, rate: 8000, bytes: 2 });
      t.deepEqual(samples, channels === 1 ? mixed : apart.flat());
    }
  },
);

test('formats that are not there are refused by their option', async (t) => {
  const { proxy, call, relay } = await established(t, { recordingDirectory: directoryOf(t) });
  const start = { command: 'start recording', 'call-id': call.callId };
  const refusal = (option: string) => `Option "${option}" is not supported by this relay`;
  t.is((await proxy.request({ ...start, 'output-format': 'mp3' }))['error-reason'], refusal('output-format'));
  t.is((await proxy.request({ ...start, 'mix-method': 'all' }))['error-reason'], refusal('mix-method'));
  const offered = await proxy.offer(newCall(), audioSdp({ address: '127.0.0.1', port: 4000 }), {
    extra: { 'record-call': 'on', 'output-format': 'mp3' },
  });
  t.is(offered['error-reason'], refusal('output-format'));
  t.is(relay.media.recorder?.active, 0);
});

testWith(['tshark'], 'tshark reads the capture as RTP of both parties', async (t) => {
  for (const mediaAddress of ['127.0.0.1', '::1']) {
    const directory = directoryOf(t);
    const call = await established(t, { recordingDirectory: directory, mediaAddress });
    await call.proxy.request({ command: 'start recording', 'call-id': call.call.callId });
    for (let round = 0; round < 5; round++) {
      await talk(call);
    }
    await call.proxy.request({ command: 'stop recording', 'call-id': call.call.callId });
    const [file = ''] = readdirSync(directory);
    const ports = [call.forCaller.port, call.forCallee.port].flatMap((port) => [
      '-d',
      `udp.port==${port},rtp`,
    ]);
    const { stdout } = await promisify(execFile)(findProgram('tshark') ?? 'tshark', [
      ...['-r', join(directory, file), ...ports, '-T', 'fields', '-E', 'separator=,'],
      ...['-e', 'rtp.p_type', '-e', 'rtp.seq', '-e', 'udp.dstport', '-e', '_ws.expert.message'],
    ]);
    const lines = stdout.trim().split('\n');
    t.is(lines.length, 10);
    t.is(lines[0], `8,1,${call.forCaller.port},`);
    t.is(lines[9], `8,5,${call.forCallee.port},`);
  }
});

test('a file that is removed ends its recording with an event; media pass', async (t) => {
  const directory = directoryOf(t);
  const call = await established(t, { recordingDirectory: directory });
  await call.proxy.request({ command: 'start recording', 'call-id': call.call.callId });
  for (const name of readdirSync(directory)) {
    unlinkSync(join(directory, name));
  }
  const { recorder } = call.relay.media;
  while (recorder?.failures === 0) {
    await talk(call);
    call.clock.advance(500);
  }
  t.is(recorder?.active, 0);
  await talk(call);
  rmSync(directory, { recursive: true });
  const again = await call.proxy.request({ command: 'start recording', 'call-id': call.call.callId });
  t.deepEqual({ ...again }, { result: 'error', 'error-reason': 'Recording cannot begin' });
  const offered = await call.proxy.offer(newCall(), audioSdp({ address: '127.0.0.1', port: 4000 }), {
    extra: { 'record-call': 'yes' },
  });
  t.is(offered['result'], 'ok', 'the call is served');
  t.is(recorder?.failures, 3);
});

test('a directory that is not there stops the start', async (t) => {
  const relay = new BuiltinRelay({
    ...{ ngListen: { host: '127.0.0.1', port: 0 }, interfaces: interfacesAt(), maxSessions: 1 },
    ...{ portMin: 30_000, portMax: 30_001, idleTimeoutMs: 1000, clock: new ManualClock(), log: silentLogger },
    recordingDirectory: '/nonexistent/holdfast',
  });
  await t.throwsAsync(relay.start(), {
    message: /recordings cannot be written to \/nonexistent\/holdfast: ENOENT/,
  });
});

test('R, C and N of rtpproxy record one session', async (t) => {
  const directory = directoryOf(t);
  const { ask } = await rtpproxyScene(t, { recordingDirectory: directory });
  const [caller, callee] = [await party(t), await party(t)];
  await ask(`Uc0,8 c ${mediaOf(caller)} f`);
  const forCaller = toldBy(await ask(`Lc0,8 c ${mediaOf(callee)} f t`));
  t.is(await ask('R c f t'), '0');
  t.is(await ask('R c f t'), 'E50', 'nothing new to record');
  const sent = await caller.sendRtp(forCaller);
  await callee.rtp.nth(1);
  t.is(await ask('N c f t'), '0');
  t.is(await ask('N c f t'), 'E50');
  t.is(await ask('C c ../name f t'), '0');
  t.is(await ask('C c udp:127.0.0.1:4000 f t'), 'E0');
  t.is(await ask('Rx c f'), 'E2');
  t.is(await ask('R nosuch f'), 'E50');
  t.is(await ask('D c f t'), '0');
  const files = readdirSync(directory).toSorted();
  t.regex(files.join(), /^%2e\.%2fname-[0-9a-f]{16}\.pcap,c-[0-9a-f]{16}\.pcap$/);
  t.deepEqual(payloadsIn(join(directory, files[1] ?? '')), [sent]);
});
