import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import test from 'ava';
import fc from 'fast-check';
import { newTraffic } from '../../../../relay-node/media/counters.js';
import { OutOfPortsError } from '../../../../relay-node/media/errors.js';
import { MediaInterfaces } from '../../../../relay-node/media/interfaces.js';
import { isAcceptable } from '../../../../relay-node/media/packet.js';
import { PortPool } from '../../../../relay-node/media/port-pool.js';
import { MediaSockets } from '../../../../relay-node/media/sockets.js';
import { interfacesAt } from '../../../support/media-interface.js';
import { rtcpReport, rtpPacket } from '../../../support/rtp.js';

test('pairs start even, lie in the range, and come once', (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 65_500 }), fc.integer({ min: 2, max: 35 }), (portMin, size) => {
      const portMax = portMin + size;
      const pool = new PortPool(portMin, portMax);
      const taken = new Set<number>();
      for (let port = pool.take(); port !== undefined; port = pool.take()) {
        t.is(port % 2, 0);
        t.true(port >= portMin && port + 1 <= portMax);
        taken.add(port);
      }
      t.is(taken.size, pool.total);
      t.is(pool.free, 0);
    }),
  );
});

test('a returned pair is used last', (t) => {
  const pool = new PortPool(30_000, 30_009);
  const first = pool.take() as number;
  pool.giveBack(first);
  const order = Array.from({ length: 5 }, () => pool.take());
  t.is(order.at(-1), first);
  t.throws(() => new PortPool(30_000, 30_009).giveBack(30_000));
});

test('the order differs from relay to relay', (t) => {
  const order = () => {
    const pool = new PortPool(10_000, 19_999);
    return Array.from({ length: 20 }, () => pool.take()).join();
  };
  t.not(order(), order());
});

test('ranges without a pair are refused', (t) => {
  for (const [min, max] of [
    [30_001, 30_002],
    [30_000, 30_000],
    [5, 4],
    [0, 10],
    [65_000, 65_536],
    [1.5, 9],
  ] as const) {
    t.throws(() => new PortPool(min, max), { instanceOf: RangeError }, `${min}-${max}`);
  }
});

test('ports that other programs hold are skipped; failing leaves nothing open', async (t) => {
  const foreign = createSocket('udp4');
  foreign.bind(0, '127.0.0.1');
  await once(foreign, 'listening');
  t.teardown(() => foreign.close());
  const busy = foreign.address().port;
  const pool = new PortPool(busy - (busy % 2), busy - (busy % 2) + 1);
  const sockets = new MediaSockets(pool, new MediaInterfaces(interfacesAt()), newTraffic());
  await t.throwsAsync(sockets.open(sockets.interfaces.first), {
    instanceOf: OutOfPortsError,
    message: 'Ran out of ports',
  });
  t.is(pool.free, 1);
  t.is(sockets.openPairs, 0);
});

test('an address that is not of this machine fails the check', async (t) => {
  const interfaces = new MediaInterfaces([...interfacesAt(), ...interfacesAt('192.0.2.1')]);
  const sockets = new MediaSockets(new PortPool(30_000, 30_001), interfaces, newTraffic());
  await t.throwsAsync(sockets.check(), {
    message: /cannot listen on 192\.0\.2\.1:0 for media: .*no such address/,
  });
});

test('RTP, RTCP and what is neither', (t) => {
  t.true(isAcceptable(rtpPacket(1, 1), 'rtp'));
  t.true(isAcceptable(rtcpReport(1), 'rtp'));
  const stun = Buffer.alloc(20);
  const version1 = Buffer.alloc(20, 0x40);
  const dtls = Buffer.alloc(20, 22);
  const short = rtpPacket(1, 1).subarray(0, 11);
  for (const packet of [Buffer.alloc(0), Buffer.from([0x80]), short, stun, version1, dtls]) {
    t.false(isAcceptable(packet, 'rtp'), packet.toString('hex'));
  }
  t.true(isAcceptable(dtls, 'dtls-srtp'));
  t.false(isAcceptable(stun, 'dtls-srtp'));
  t.true(isAcceptable(stun, 'opaque'));
});

test('a certain pair can be taken once, and is not given to others', (t) => {
  const pool = new PortPool(30_000, 30_009);
  t.true(pool.takeThis(30_004));
  t.false(pool.takeThis(30_004));
  t.false(pool.takeThis(30_100));
  const others = Array.from({ length: 5 }, () => pool.take());
  t.deepEqual(others.filter((port) => port !== undefined).sort(), [30_000, 30_002, 30_006, 30_008]);
  pool.giveBack(30_004);
  t.is(pool.take(), 30_004);
});
