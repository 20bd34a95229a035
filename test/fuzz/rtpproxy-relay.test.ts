import test from 'ava';
import fc from 'fast-check';
import { RtpproxyFront } from '../../relay-node/control/rtpproxy/server.js';
import { MediaRelay } from '../../relay-node/media/media-relay.js';
import { systemClock } from '../../services/runtime/clock.js';
import { interfacesAt } from '../support/media-interface.js';
import { freeUdpBlock } from '../support/ports.js';
import { eventually } from '../support/registry.js';
import { openLog } from '../support/replica.js';
import { flood, openSocket } from './flood.js';
import { rtpproxyDatagram } from './rtpproxy-datagram.js';

/** Number of datagrams, unless HOLDFAST_FUZZ_RUNS is set. */
const count = Number(process.env['HOLDFAST_FUZZ_RUNS'] ?? 50_000);
const seed = Number(process.env['HOLDFAST_FUZZ_SEED'] ?? Date.now() % 2 ** 31);
const pairs = 50;

test(`${count} hostile datagrams do not harm the built-in relay's rtpproxy front`, async (t) => {
  t.timeout(600_000 + 5 * count);
  const { log, lines } = openLog();
  const portMin = await freeUdpBlock(2 * pairs);
  const media = new MediaRelay({
    interfaces: interfacesAt(),
    portMin,
    portMax: portMin + 2 * pairs - 1,
    maxSessions: pairs,
    idleTimeoutMs: 60_000,
    clock: systemClock,
    log,
  });
  const front = new RtpproxyFront({ host: '127.0.0.1', port: 0 }, { media, clock: systemClock, log });
  await media.start();
  await front.start();
  t.teardown(async () => {
    await front.stop();
    await media.stop();
  });
  const socket = await openSocket(t);
  const replies: string[] = [];
  socket.on('message', (reply) => void replies.push(reply.toString('latin1', 0, 64)));
  const options = {
    counters: () => ({ ...front.counters }),
    lines,
    socket,
    port: front.address.port,
    samples: fc.sample(rtpproxyDatagram, { numRuns: 2000, seed }),
    count,
    seed,
    onBatch: () => {
      replies.length = 0;
    },
  };
  await flood(t, options, async (send) => {
    // It is full by now.
    for (const callId of media.sessions.ids()) {
      await media.sessions.delete({ callId, delayMs: 0 }, () => callId);
    }
    t.is(media.load().portPairsFree, pairs, `ports are left open (seed ${seed})`);
    for (const [request, reply] of [
      ['last-1 V', /^last-1 20040107\n$/],
      ['last-2 U good@h 127.0.0.1 4000 f;1', /^last-2 \d+ 127\.0\.0\.1\n$/],
      ['last-3 D good@h f', /^last-3 0\n$/],
    ] as const) {
      await send(Buffer.from(request));
      await eventually(() => replies.some((each) => reply.test(each)), `${reply} (seed ${seed})`);
    }
  });
});
