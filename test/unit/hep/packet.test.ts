import test from 'ava';
import { encodeHep, type HepPacket } from '../../../services/hep/packet.js';
import { readHep, textOf } from '../../support/hep.js';

const agent = { id: 2100, node: 'replica-1' };
const packet: HepPacket = {
  type: 'log',
  payload: Buffer.from('bound'),
  correlationId: Buffer.from('a84b4c76e66710@pc33'),
  from: { host: '192.0.2.1', port: 7400 },
  to: { host: '192.0.2.11', port: 2223 },
  atMs: 1_800_000_000_123.5,
};

function encoded(of: Partial<HepPacket> = {}) {
  return readHep(encodeHep({ ...packet, ...of }, agent) ?? Buffer.alloc(0));
}

test('a packet has the generic chunks that Homer reads', (t) => {
  const chunks = encoded();
  t.deepEqual(chunks.get(1), Buffer.of(2));
  t.deepEqual(chunks.get(2), Buffer.of(17));
  t.deepEqual(chunks.get(3), Buffer.of(192, 0, 2, 1));
  t.deepEqual(chunks.get(4), Buffer.of(192, 0, 2, 11));
  t.is(chunks.get(7)?.readUInt16BE(), 7400);
  t.is(chunks.get(8)?.readUInt16BE(), 2223);
  t.is(chunks.get(9)?.readUInt32BE(), 1_800_000_000);
  t.is(chunks.get(10)?.readUInt32BE(), 123_500);
  t.deepEqual(chunks.get(11), Buffer.of(100));
  t.is(chunks.get(12)?.readUInt32BE(), 2100);
  t.is(textOf(chunks, 0x0f), 'bound');
  t.is(textOf(chunks, 0x11), 'a84b4c76e66710@pc33');
  t.is(textOf(chunks, 0x13), 'replica-1');
  t.deepEqual(encoded({ type: 'ng' }).get(11), Buffer.of(0x3d));
});

for (const [host, hex] of [
  ['2001:db8::1', '20010db8000000000000000000000001'],
  ['::', '00000000000000000000000000000000'],
  ['1:2:3:4:5:6:7:8', '00010002000300040005000600070008'],
  ['::ffff:192.0.2.1', '00000000000000000000ffffc0000201'],
  ['fe80::1%eth0', 'fe800000000000000000000000000001'],
] as const) {
  test(`${host} is an IPv6 address`, (t) => {
    const chunks = encoded({ from: { host, port: 1 } });
    t.deepEqual(chunks.get(1), Buffer.of(10));
    t.is(chunks.get(5)?.toString('hex'), hex);
    t.is(chunks.get(6)?.toString('hex'), '0'.repeat(32), 'the other end is of another family');
    t.false(chunks.has(3));
  });
}

test('a name is left unspecified, and bytes of any kind pass', (t) => {
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
  const chunks = encoded({
    to: { host: 'relay.example.org', port: 1 },
    payload: bytes,
    correlationId: bytes,
  });
  t.deepEqual(chunks.get(4), Buffer.alloc(4));
  t.deepEqual(chunks.get(0x0f), bytes);
  t.deepEqual(chunks.get(0x11), bytes);
});

test('what does not fit a datagram is no packet', (t) => {
  const overhead = (encodeHep({ ...packet, payload: Buffer.alloc(0) }, agent) as Buffer).length;
  const room = 65_507 - overhead;
  t.is(encodeHep({ ...packet, payload: Buffer.alloc(room) }, agent)?.length, 65_507);
  t.is(encodeHep({ ...packet, payload: Buffer.alloc(room + 1) }, agent), undefined);
  t.is(encodeHep({ ...packet, payload: Buffer.alloc(200_000) }, agent), undefined);
});
