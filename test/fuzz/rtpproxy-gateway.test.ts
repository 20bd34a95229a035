import test from 'ava';
import fc from 'fast-check';
import { UdpServer } from '../../services/control/udp/server.js';
import { connect, startEmbeddedEtcd } from '../support/etcd.js';
import { aRelay, eventually, newKeyspace, putRelay } from '../support/registry.js';
import { openReplica } from '../support/replica.js';
import { flood, openSocket } from './flood.js';
import { kindsIn, rtpproxyDatagram } from './rtpproxy-datagram.js';

/** Number of datagrams, unless HOLDFAST_FUZZ_RUNS is set. */
const count = Number(process.env['HOLDFAST_FUZZ_RUNS'] ?? 50_000);
const seed = Number(process.env['HOLDFAST_FUZZ_SEED'] ?? Date.now() % 2 ** 31);

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
  t.timeout(600_000 + 5 * count);
  const etcd = await startEmbeddedEtcd(t);
  const keys = newKeyspace();
  await putRelay(connect(t, etcd.endpoint), keys, aRelay({ kind: 'rtpproxy', controlUrl: await relayOf(t) }));
  const opened = await openReplica(t, etcd.endpoint, keys, {
    HOLDFAST_RTPPROXY_LISTEN: '127.0.0.1:0',
    HOLDFAST_RTPPROXY_RATE: '0',
    HOLDFAST_CACHE_ENTRIES: '10000',
  });
  await opened.ready;
  const port = Number(opened.replica.gatewayAddresses('rtpproxy')[0]?.split(':')[1]);
  const socket = await openSocket(t);
  const replies: string[] = [];
  socket.on('message', (reply) => void replies.push(reply.toString('latin1', 0, 64)));
  const samples = fc.sample(rtpproxyDatagram, { numRuns: 2000, seed });
  for (const [kind, of] of Object.entries(kindsIn(samples))) {
    t.true(of > 20, `${of} samples with ${kind} (seed ${seed})`);
  }
  const onBatch = () => {
    replies.length = 0;
  };
  const options = {
    counters: () => opened.replica.gatewayCounters('rtpproxy'),
    lines: opened.lines,
    socket,
    port,
    samples,
    count,
    seed,
    onBatch,
  } as const;
  await flood(t, options, async (send) => {
    for (const [request, reply] of [
      ['last-1 V', 'last-1 20040107\n'],
      ['last-2 U good@h 127.0.0.1 4000 f;1', 'last-2 30000 127.0.0.1\n'],
      ['last-3 D good@h f t', 'last-3 0\n'],
      ['last-4 X', 'last-4 E0\n'],
    ] as const) {
      await send(Buffer.from(request));
      await eventually(() => replies.includes(reply), `${reply} (seed ${seed})`);
    }
  });
});
