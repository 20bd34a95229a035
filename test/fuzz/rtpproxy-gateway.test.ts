import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import test from 'ava';
import fc from 'fast-check';
import { UdpServer } from '../../services/control/udp/server.js';
import { connect, startEmbeddedEtcd } from '../support/etcd.js';
import { aRelay, eventually, newKeyspace, putRelay } from '../support/registry.js';
import { openReplica } from '../support/replica.js';
import { transcripts } from '../support/rtpproxy-transcripts.js';

/** Number of datagrams, unless HOLDFAST_FUZZ_RUNS is set. */
const count = Number(process.env['HOLDFAST_FUZZ_RUNS'] ?? 50_000);
const seed = Number(process.env['HOLDFAST_FUZZ_SEED'] ?? Date.now() % 2 ** 31);
/** Datagrams in flight: as many as the gateway's socket buffer holds. */
const window = 256;

const commands = transcripts.flatMap(({ exchanges }) => exchanges.map(([command]) => command));
const cookie = fc.oneof(
  fc.constantFrom('c', '1_2', 'x'.repeat(255), 'y'.repeat(256), ''),
  fc.string({ maxLength: 20 }),
);
const words = fc.array(fc.constantFrom('f', 't;1', 'c@h', '127.0.0.1', '4000', '&&', '0', 'x'.repeat(2000)), {
  maxLength: 40,
});
const body = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...commands) },
  {
    weight: 3,
    arbitrary: fc
      .tuple(fc.constantFrom(...'ULDQPSRCNIGVXZul'), fc.string({ maxLength: 12 }), words)
      .map(([name, modifiers, rest]) => [`${name}${modifiers}`, ...rest].join(' ')),
  },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 65_000 }).map((size) => 'U c '.padEnd(size, 'x')) },
);
const datagram = fc
  .tuple(cookie, body)
  .map((parts) => Buffer.from(parts.join(' '), 'latin1').subarray(0, 65_000));

/** A relay that answers at once, and mostly what one would. */
async function relayOf(scope: { teardown(task: () => Promise<void>): void }): Promise<string> {
  const server = new UdpServer<Buffer>({
    listen: [{ host: '127.0.0.1', port: 0 }],
    replyTtlMs: 1,
    service: {
      protocol: 'rtpproxy',
      read: (request) => ({ kind: 'request', request }),
      handle: async (request) =>
        Buffer.from(/^[ul]/i.test(request.toString('latin1', 0, 1)) ? '30000 127.0.0.1\n' : '0\n'),
      refuse: () => Buffer.from('E98\n'),
    },
  });
  await server.start();
  scope.teardown(() => server.stop());
  return `udp:127.0.0.1:${server.addresses()[0]?.port}`;
}

test(`${count} hostile datagrams do not harm the rtpproxy gateway`, async (t) => {
  t.timeout(600_000);
  const etcd = await startEmbeddedEtcd(t);
  const keys = newKeyspace();
  await putRelay(connect(t, etcd.endpoint), keys, aRelay({ kind: 'rtpproxy', controlUrl: await relayOf(t) }));
  const { replica, ready, lines } = await openReplica(t, etcd.endpoint, keys, {
    HOLDFAST_RTPPROXY_LISTEN: '127.0.0.1:0',
    HOLDFAST_RTPPROXY_RATE: '0',
    HOLDFAST_CACHE_ENTRIES: '10000',
  });
  await ready;
  const port = Number(replica.gatewayAddresses('rtpproxy')[0]?.split(':')[1]);
  const socket = createSocket('udp4');
  const replies: string[] = [];
  socket.on('message', (reply) => void replies.push(reply.toString('latin1', 0, 64)));
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  t.teardown(() => new Promise<void>((resolve) => socket.close(() => resolve())));
  const samples = fc.sample(datagram, { numRuns: 2000, seed });
  const random = fc.sample(fc.infiniteStream(fc.nat()), { numRuns: 1, seed })[0] as Iterator<number>;
  const next = () => random.next().value as number;
  const send = (bytes: Buffer) =>
    new Promise<void>((resolve) => socket.send(bytes, port, '127.0.0.1', () => resolve()));
  const received = () => replica.gatewayCounters('rtpproxy')['received'] ?? 0;
  const heapMb = () => process.memoryUsage().heapUsed / 2 ** 20;

  let sent = 0;
  let heapAfterTenthMb = 0;
  while (sent < count) {
    const before = received();
    const batch = Array.from({ length: Math.min(window, count - sent) }, () => {
      const sample = Buffer.from(samples[next() % samples.length] as Buffer);
      for (let flips = next() % 3; flips > 0 && sample.length > 0; flips--) {
        sample[next() % sample.length] = next() % 256;
      }
      return sample;
    });
    await Promise.all(batch.map(send));
    sent += batch.length;
    await eventually(
      () => received() >= before + batch.length * 0.9,
      `reception after ${sent} (seed ${seed})`,
    );
    if (heapAfterTenthMb === 0 && sent >= count / 10) {
      heapAfterTenthMb = heapMb();
    }
    replies.length = 0;
  }
  // It still answers, and its memory is bounded.
  for (const [request, reply] of [
    ['last-1 V', 'last-1 20040107\n'],
    ['last-2 U good@h 127.0.0.1 4000 f;1', 'last-2 30000 127.0.0.1\n'],
    ['last-3 D good@h f t', 'last-3 0\n'],
    ['last-4 X', 'last-4 E0\n'],
  ] as const) {
    await send(Buffer.from(request));
    await eventually(() => replies.includes(reply), `${reply} (seed ${seed})`);
  }
  t.true(heapMb() < heapAfterTenthMb + 150, `${heapAfterTenthMb} MiB became ${heapMb()} MiB (seed ${seed})`);
  t.deepEqual(
    lines.filter(({ level }) => Number(level) >= 50),
    [],
    `no error in the log (seed ${seed})`,
  );
  const { dropped, malformed, replied } = replica.gatewayCounters('rtpproxy');
  t.true(Number(dropped) > 0 && Number(malformed) > 0 && Number(replied) > 0);
  t.log(
    `seed ${seed}: sent ${sent}, received ${received()}, dropped ${dropped}, malformed ${malformed}, replied ${replied}`,
  );
});
