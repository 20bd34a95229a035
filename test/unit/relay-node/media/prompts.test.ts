import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { musicOnHold } from '../../../../relay-node/media/prompts/music-on-hold.js';
import { Prompt } from '../../../../relay-node/media/prompts/prompt.js';
import { Sounds, soundLimits } from '../../../../relay-node/media/prompts/sounds.js';
import { decode, encode, pcma, pcmu } from '../../../../relay-node/media/sound/g711.js';
import { samplesOf } from '../../../../relay-node/media/sound/wav.js';
import { systemClock } from '../../../../services/runtime/clock.js';
import { ManualClock } from '../../../support/clock.js';
import { wavFile } from '../../../support/wav.js';

test('each byte of G.711 is a sample that becomes that byte again', (t) => {
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
  for (const codec of [pcmu, pcma] as const) {
    // µ-law has two zeros.
    const again = encode(decode(bytes, codec), codec);
    const other = [...bytes].filter((byte) => again[byte] !== byte);
    t.deepEqual(other, codec === pcmu ? [0x7f] : []);
  }
  t.deepEqual([...encode(Int16Array.of(0, -1, 32_767, -32_768, 1000), pcmu)], [0xff, 0x7e, 0x80, 0x00, 0xce]);
  t.deepEqual([...encode(Int16Array.of(0, -1, 32_767, -32_768, 1000), pcma)], [0xd5, 0x55, 0xaa, 0x2a, 0xfa]);
});

test('wav files of PCM, A-law and µ-law are read, and both channels are mixed', (t) => {
  const samples = [0, 100, -100, 32_767];
  t.deepEqual([...samplesOf(wavFile({ samples }))], samples);
  t.deepEqual([...samplesOf(wavFile({ samples: [100, 300, -2, -4], channels: 2 }))], [200, -3]);
  const law = encode(Int16Array.from(samples), pcma);
  t.deepEqual([...samplesOf(wavFile({ data: law, format: 6, bits: 8 }))], [...decode(law, pcma)]);
  const extra = wavFile({ samples, before: Buffer.from('LIST\x03\0\0\0abc\0', 'latin1') });
  t.deepEqual([...samplesOf(extra)], samples);
});

test('music on hold: 16 s, as loud as a voice, that can be heard again and again without a click', (t) => {
  const file = musicOnHold();
  t.deepEqual(file, musicOnHold(), 'the same each time');
  const samples = samplesOf(file);
  t.is(samples.length, 16 * 8000);
  const steps = samples.map((sample, at) => Math.abs(sample - (samples.at(at - 1) as number)));
  const most = (values: Int16Array) => values.reduce((max, value) => Math.max(max, value), 0);
  t.true((steps[0] as number) <= most(steps.subarray(1)), 'from the end to the beginning');
  t.true(most(samples.map(Math.abs)) < 8500);
  for (let second = 0; second < 16; second++) {
    const energy = samples
      .slice(second * 8000, (second + 1) * 8000)
      .reduce((sum, each) => sum + each ** 2, 0);
    // dBm0 of RMS, about (ITU-T G.711: full scale is 3.14 dBm0).
    const level = 10 * Math.log10(energy / 8000 / 32_768 ** 2) + 6.15;
    t.true(level > -25 && level < -10, `second ${second}: ${level} dBm0`);
  }
});

test('another kind of file is refused, and why', (t) => {
  const samples = [1];
  t.throws(() => samplesOf(Buffer.from('hello')), { message: 'not a wav file' });
  t.throws(() => samplesOf(wavFile({ samples, rate: 44_100 })), {
    message: /44100 Hz .* allowed are 8000 Hz/,
  });
  t.throws(() => samplesOf(wavFile({ samples, channels: 6 })), { message: /6 channels/ });
  t.throws(() => samplesOf(wavFile({ samples, bits: 24 })), { message: /of 24 bits: allowed are PCM of 16/ });
  t.throws(() => samplesOf(wavFile({ samples }).subarray(0, 30)), { message: 'a wav file without sound' });
  t.throws(() => samplesOf(wavFile({ samples }).subarray(0, 12)), { message: 'a wav file without sound' });
});

test('a prompt is a packet every 20 ms, the last one filled with silence', (t) => {
  const clock = new ManualClock();
  const packets: Buffer[] = [];
  const holds: boolean[] = [];
  let ended = 0;
  const listener = {
    hold: (isPlaying: boolean) => holds.push(isPlaying),
    emit: (packet: Buffer) => packets.push(packet),
  };
  const sound = { bytes: Buffer.alloc(200, 0x11), codec: pcma, times: 2 } as const;
  new Prompt(sound, listener, clock, () => ended++).start();
  t.is(packets.length, 1);
  for (let round = 0; round < 10; round++) {
    clock.advance(20);
  }
  t.is(packets.length, 3, '400 bytes');
  t.deepEqual([holds, ended], [[true, false], 1]);
  t.deepEqual(
    packets.map((packet) => [packet[0], packet[1], packet.length]),
    [
      [0x80, 0x88, 172],
      [0x80, 8, 172],
      [0x80, 8, 172],
    ],
  );
  const [first, second, last] = packets as [Buffer, Buffer, Buffer];
  t.is((second.readUInt16BE(2) - first.readUInt16BE(2)) & 0xff_ff, 1);
  t.is((second.readUInt32BE(4) - first.readUInt32BE(4)) >>> 0, 160);
  t.is(second.readUInt32BE(8), first.readUInt32BE(8));
  t.true(last.subarray(12, 92).every((byte) => byte === 0x11));
  t.true(last.subarray(92).every((byte) => byte === 0xd5));
});

test('a prompt that is late leaves out what is too late, and one without end is stopped', (t) => {
  const clock = new ManualClock();
  let packets = 0;
  let ended = 0;
  const listener = { hold: () => undefined, emit: () => packets++ };
  const sound = { bytes: Buffer.alloc(160), codec: pcmu, times: Number.POSITIVE_INFINITY } as const;
  const prompt = new Prompt(sound, listener, clock, () => ended++);
  prompt.start();
  clock.advance(10_000);
  t.true(packets > 1 && packets <= 501, `${packets}`);
  prompt.stop();
  prompt.stop();
  const before = packets;
  clock.advance(1000);
  t.deepEqual([packets, ended], [before, 1]);
});

test('a wav file that is too long is refused, and those played longest ago are forgotten', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-prompts-'));
  t.teardown(() => rm(directory, { recursive: true }));
  const samples = Array.from({ length: 8000 }, (_, i) => i);
  for (const name of ['a', 'b', 'c', 'd', 'long']) {
    await writeFile(join(directory, name), wavFile({ samples }));
  }
  await truncate(join(directory, 'long'), soundLimits.fileBytes + 1);
  // A byte for each sample, in both laws: three fit.
  const sounds = new Sounds(directory, systemClock, { ...soundLimits, cachedBytes: 3 * 2 * 8000 });
  const play = (name: string) => sounds.find(name, pcma);
  await t.throwsAsync(play('long'), { message: 'more than 8388608 bytes' });
  const [a, b, c] = [await play('a'), await play('b'), await play('c')];
  t.is(await play('a'), a, 'in memory');
  await play('d');
  t.is(await play('a'), a);
  t.is(await play('c'), c);
  t.not(await play('b'), b, 'read again');
});
