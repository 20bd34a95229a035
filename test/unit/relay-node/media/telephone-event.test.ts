import test from 'ava';
import { EventReader } from '../../../../relay-node/media/telephone-event.js';
import { type EventPacket, eventPacket } from '../../../support/rtp.js';

const formats = [
  { type: 101, clockRate: 8000 },
  { type: 102, clockRate: 16_000 },
];
const end: EventPacket = { sequence: 1, timestamp: 1000, code: 5, isEnd: true, duration: 800 };
const read = (reader: EventReader, event: Partial<EventPacket> = {}) =>
  reader.read(eventPacket({ ...end, ...event }), formats);

test('an event is told once, when it ends', (t) => {
  const reader = new EventReader();
  t.is(read(reader, { isEnd: false, duration: 160 }), undefined);
  t.deepEqual(read(reader), { code: 5, durationMs: 100, volume: 10 });
  t.is(read(reader), undefined, 'its end is sent three times');
  t.is(read(reader, { timestamp: 3000, isEnd: false }), undefined, 'of this one no end comes');
  t.like(read(reader, { timestamp: 5000 }), { code: 5 });
  t.like(read(reader, { timestamp: 5000, ssrc: 8 }), { code: 5 }, 'another source');
});

test('the duration is by the clock of its payload type', (t) => {
  t.like(read(new EventReader(), { payloadType: 102 }), { durationMs: 50 });
  t.like(read(new EventReader(), { payloadType: 102 + 128 }), { durationMs: 50 }, 'with the marker bit');
  t.is(read(new EventReader(), { payloadType: 103 }), undefined);
});

test('what is too short for an event is none', (t) => {
  const packet = eventPacket(end);
  const withSources = Buffer.from(packet);
  withSources[0] = 0x82;
  for (const each of [packet.subarray(0, 15), packet.subarray(0, 12), withSources]) {
    t.is(new EventReader().read(each, formats), undefined);
  }
});
