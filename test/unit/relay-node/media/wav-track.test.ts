import test from 'ava';
import { WavTrack } from '../../../../relay-node/media/recording/wav-track.js';
import { decode, encode, pcma, pcmu } from '../../../../relay-node/media/sound/g711.js';
import { ManualClock } from '../../../support/clock.js';

const address = { address: '192.0.2.1', port: 4000 };

interface Sound {
  readonly side?: 0 | 1;
  readonly codec?: number;
  readonly timestamp: number;
  readonly ssrc?: number;
  readonly level: number;
  readonly isEncrypted?: boolean;
}

/** Adds 20 ms of one level. */
function add(
  track: WavTrack,
  { side = 0, codec = pcmu, ssrc = 1, isEncrypted = false, timestamp, level }: Sound,
) {
  const packet = Buffer.alloc(12 + 160);
  packet[0] = 0x80;
  packet[1] = codec;
  packet.writeUInt32BE(timestamp >>> 0, 4);
  packet.writeUInt32BE(ssrc, 8);
  encode(new Int16Array(160).fill(level), codec === pcma ? pcma : pcmu).copy(packet, 12);
  track.add(packet, { side, isEncrypted, from: address, to: address });
}

/** What a level sounds like after G.711. */
const heard = (level: number, codec: typeof pcmu | typeof pcma = pcmu) =>
  decode(encode(Int16Array.of(level), codec), codec)[0];

/** Each run of equal samples of one channel: its level and how long it is. */
function runs(bytes: Buffer, channels = 1, channel = 0): [number | undefined, number][] {
  const found: [number | undefined, number][] = [];
  for (let at = 2 * channel; at < bytes.length; at += 2 * channels) {
    const level = bytes.readInt16LE(at);
    const last = found.at(-1);
    if (last?.[0] === level) {
      last[1]++;
    } else {
      found.push([level, 1]);
    }
  }
  return found;
}

test('both parties are mixed where they speak at once, whatever the law, and clipped', (t) => {
  const clock = new ManualClock();
  const track = new WavTrack(clock, 1);
  add(track, { timestamp: 1000, level: 4000 });
  add(track, { side: 1, timestamp: 5, codec: pcma, level: 1000 });
  clock.advance(20);
  add(track, { timestamp: 1160, level: 32_000 });
  add(track, { side: 1, timestamp: 165, level: 32_000 });
  clock.advance(20);
  const [one = 0, other = 0] = [heard(4000), heard(1000, pcma)];
  t.deepEqual(runs(track.take(true)), [
    [one + other, 160],
    [32_767, 160],
  ]);
});

test('one party a channel, in the order of their timestamps, and silence where nothing came', (t) => {
  const clock = new ManualClock();
  const track = new WavTrack(clock, 2);
  // Timestamps wrap.
  add(track, { timestamp: -160, level: 1000 });
  add(track, { timestamp: 320, level: 3000 });
  add(track, { timestamp: 160, level: 2000 });
  add(track, { timestamp: 160, level: 2000 });
  clock.advance(500);
  add(track, { side: 1, timestamp: 77, level: 500 });
  clock.advance(500);
  const bytes = track.take(true);
  t.deepEqual(runs(bytes, 2, 0), [
    [heard(1000), 160],
    [0, 160],
    [heard(2000), 160],
    [heard(3000), 160],
    [0, 8000 - 640],
  ]);
  t.deepEqual(runs(bytes, 2, 1), [
    [0, 4000],
    [heard(500), 160],
    [0, 3840],
  ]);
});

test('what is older than a second is written, and nothing is lost on the way', (t) => {
  const clock = new ManualClock();
  const track = new WavTrack(clock, 1);
  const parts: Buffer[] = [];
  for (let count = 0; count < 250; count++) {
    add(track, { timestamp: count * 160, level: 1000 });
    clock.advance(20);
    if (count % 33 === 0) {
      parts.push(track.take(false));
      t.true(track.queuedBytes <= 2 * 8000, 'all but the last second');
    }
  }
  parts.push(track.take(true));
  t.deepEqual(runs(Buffer.concat(parts)), [[heard(1000), 40_000]]);
  t.is(track.take(true).length, 0);
});

test('a source that begins anew is where its packets come, and a jump makes no memory', (t) => {
  const clock = new ManualClock();
  const track = new WavTrack(clock, 1);
  add(track, { timestamp: 0, level: 1000 });
  clock.advance(20);
  for (const timestamp of [0x7f_ff_ff_ff, -1, 1_000_000, 0]) {
    add(track, { timestamp, level: 0 });
  }
  clock.advance(1980);
  add(track, { timestamp: 2_000_000, level: 2000 });
  const bytes = track.take(true);
  t.deepEqual(runs(bytes), [
    [heard(1000), 160],
    [0, 15_840],
    [heard(2000), 160],
  ]);
  for (let ssrc = 0; ssrc < 1000; ssrc++) {
    add(track, { ssrc, timestamp: ssrc * 7919, level: 0 });
  }
  t.true(track.queuedBytes <= 0);
});

test('RTCP, other codecs, what is encrypted and what is too short make no sound', (t) => {
  const clock = new ManualClock();
  const track = new WavTrack(clock, 1);
  add(track, { codec: 111, timestamp: 0, level: 1000 });
  add(track, { timestamp: 0, level: 1000, isEncrypted: true });
  const origin = { side: 0, isEncrypted: false, from: address, to: address } as const;
  track.add(Buffer.from([0x8f, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]), origin);
  track.add(Buffer.from([0x80, 200, 0, 6, 0, 0, 0, 1]), origin);
  track.add(Buffer.from([0xa0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0xff]), origin);
  clock.advance(20);
  t.deepEqual(runs(track.take(true)), [[0, 160]]);
  t.is(track.skippedPackets, 3);
});
