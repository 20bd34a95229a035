import { type FileHandle, open } from 'node:fs/promises';
import test from 'ava';
import { Recording } from '../../../../relay-node/media/recording/recording.js';
import { ManualClock } from '../../../support/clock.js';
import { rtpPacket } from '../../../support/rtp.js';

const from = { address: '192.0.2.1', port: 4000 };
const to = { address: '192.0.2.9', port: 30_000 };
const packet = rtpPacket(1, 1);

test('a disk that does not answer ends the recording when its queue is full, and holds nobody up', async (t) => {
  let release: () => void = () => undefined;
  let written = 0;
  const file = {
    appendFile: () =>
      new Promise<void>((resolve) => {
        written++;
        release = resolve;
      }),
    stat: async () => ({ nlink: 1 }),
    close: async () => undefined,
  } as unknown as FileHandle;
  const recording = new Recording('x.pcap', file, new ManualClock(), { maxQueuedBytes: 1000 });
  recording.record(packet, from, to);
  const flushed = recording.flush();
  for (let count = 0; count < 4; count++) {
    recording.record(packet, from, to);
  }
  t.is(recording.failure, 'the disk is too slow');
  recording.record(packet, from, to);
  release();
  await flushed;
  await recording.close();
  t.is(written, 1, 'what came after is not written');
});

test('a disk that is full ends it', async (t) => {
  const recording = new Recording('x.pcap', await open('/dev/full', 'a'), new ManualClock(), {
    maxQueuedBytes: 1000,
  });
  recording.record(packet, from, to);
  await recording.flush();
  t.regex(recording.failure ?? '', /ENOSPC/);
  await recording.close();
});
