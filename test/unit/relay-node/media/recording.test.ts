import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { PcapTrack } from '../../../../relay-node/media/recording/pcap-track.js';
import { Recording } from '../../../../relay-node/media/recording/recording.js';
import { WavTrack } from '../../../../relay-node/media/recording/wav-track.js';
import { ManualClock } from '../../../support/clock.js';
import { rtpPacket } from '../../../support/rtp.js';

const origin = {
  side: 0,
  isEncrypted: false,
  from: { address: '192.0.2.1', port: 4000 },
  to: { address: '192.0.2.9', port: 30_000 },
} as const;
const packet = rtpPacket(1, 1);

test('a disk that does not answer ends the recording when its queue is full, and holds nobody up', async (t) => {
  let release: () => void = () => undefined;
  let written = 0;
  const file = {
    write: (_: Buffer, __: number, length: number) =>
      new Promise((resolve) => {
        written++;
        release = () => resolve({ bytesWritten: length });
      }),
    stat: async () => ({ nlink: 1 }),
    close: async () => undefined,
  } as unknown as FileHandle;
  const track = new PcapTrack(new ManualClock());
  const recording = new Recording('x.pcap', file, track, { maxQueuedBytes: 1000 });
  recording.record(packet, origin);
  const flushed = recording.flush();
  for (let count = 0; count < 5; count++) {
    recording.record(packet, origin);
  }
  t.is(recording.failure, 'the disk is too slow');
  recording.record(packet, origin);
  t.is(track.queuedBytes, 0, 'nothing is kept for it');
  t.is(written, 1);
  while (written < 2) {
    release();
    await new Promise(setImmediate);
  }
  release();
  await flushed;
  await recording.close();
  t.is(written, 2, 'the header and the first packet: what came after is not written');
});

test('a disk that is full ends it', async (t) => {
  const clock = new ManualClock();
  for (const track of [new PcapTrack(clock), new WavTrack(clock, 1)]) {
    const recording = new Recording('x', await open('/dev/full', 'r+'), track, { maxQueuedBytes: 1000 });
    recording.record(packet, origin);
    await recording.flush();
    t.regex(recording.failure ?? '', /ENOSPC/);
    await recording.close();
  }
});

test('a process that is killed at any time leaves a wav file that says no more than it has', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-recording-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  const path = join(directory, 'x.wav');
  const file = await open(path, 'wx');
  const seen: { readonly said: number; readonly there: number }[] = [];
  const watched = {
    write: async (bytes: Buffer, offset: number, length: number, position: number) => {
      // As a disk that takes little at a time.
      const written = await file.write(bytes, offset, Math.min(length, 5000), position);
      const now = readFileSync(path);
      t.is(now.readUInt32LE(4), now.readUInt32LE(40) + 36);
      seen.push({ said: now.readUInt32LE(40), there: now.length - 44 });
      return written;
    },
    stat: () => file.stat(),
    close: () => file.close(),
  } as unknown as FileHandle;
  const clock = new ManualClock();
  const track = new WavTrack(clock, 2);
  const recording = new Recording(path, watched, track, { maxQueuedBytes: 1_000_000 });
  for (let second = 0; second < 3; second++) {
    recording.record(rtpPacket(second, second * 8000), origin);
    clock.advance(1000);
    await recording.flush();
  }
  t.true(seen.every(({ said, there }) => said <= there));
  t.is(seen.at(-1)?.said, 2 * 8000 * 4, 'the last second is not settled');
  await recording.close();
  t.deepEqual(seen.at(-1), { said: 3 * 8000 * 4, there: 3 * 8000 * 4 });
});

test('a file that has become as long as its format allows ends it', async (t) => {
  const track = {
    ...{ extension: 'wav', skippedPackets: 0, queuedBytes: 0, maxBytes: 10 },
    add: () => undefined,
    take: () => Buffer.alloc(6),
    header: () => Buffer.alloc(4),
  };
  const recording = new Recording('x.wav', await open('/dev/null', 'r+'), track, { maxQueuedBytes: 1000 });
  await recording.flush();
  t.is(recording.failure, undefined);
  await recording.flush();
  t.is(recording.failure, 'the file is as long as its format allows');
  await recording.close();
});
