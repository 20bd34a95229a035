import test from 'ava';
import fc from 'fast-check';
import { BuiltinRelay } from '../../relay-node/relays/builtin.js';
import { encode } from '../../services/control/ng/bencode.js';
import { NgClient } from '../../services/control/ng/client.js';
import { systemClock } from '../../services/runtime/clock.js';
import { silentLogger } from '../../services/runtime/log.js';
import { connect, startEmbeddedEtcd } from '../support/etcd.js';
import { interfacesAt } from '../support/media-interface.js';
import { corpus } from '../support/ng-corpus.js';
import { aRelay, newKeyspace, putRelay } from '../support/registry.js';
import { openReplica } from '../support/replica.js';
import { flood, openSocket } from './flood.js';

/** Number of datagrams, unless HOLDFAST_FUZZ_RUNS is set. */
const count = Number(process.env['HOLDFAST_FUZZ_RUNS'] ?? 100_000);
const seed = Number(process.env['HOLDFAST_FUZZ_SEED'] ?? Date.now() % 2 ** 31);
/** Number of samples: each datagram is a sample with bytes changed. */
const kinds = 2000;

const word = fc.constantFrom(
  'call-id',
  'command',
  'sdp',
  'from-tag',
  'to-tag',
  'limit',
  'supports',
  'via-branch',
);
const command = fc.constantFrom(
  'offer',
  'answer',
  'delete',
  'query',
  'ping',
  'list',
  'statistics',
  'frobnicate',
  '',
);
const value = fc.letrec((tie) => ({
  any: fc.oneof(
    { maxDepth: 6 },
    fc.string({ maxLength: 40 }),
    fc.integer(),
    fc.array(tie('any'), { maxLength: 4 }),
    fc.dictionary(fc.oneof(word, fc.string({ maxLength: 8 })), tie('any'), { maxKeys: 4 }),
  ),
})).any;
const request = fc
  .record({
    command,
    'call-id': fc.oneof(fc.string({ maxLength: 1100 }), value),
    rest: fc.dictionary(word, value),
  })
  .map(({ rest, ...named }) => Buffer.concat([Buffer.from('c '), encode({ ...rest, ...named } as never)]));
const nested = fc.integer({ min: 1, max: 30_000 }).map((depth) => Buffer.from(`c ${'l'.repeat(depth)}`));
const sized = fc.integer({ min: 0, max: 65_507 }).map((size) => Buffer.alloc(size, 'd1:a'));
const datagram = fc.oneof(
  { weight: 6, arbitrary: request },
  { weight: 2, arbitrary: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)) },
  { weight: 1, arbitrary: fc.json({ maxDepth: 4 }).map((text) => Buffer.from(`c ${text}`)) },
);

test(`${count} hostile datagrams do not harm the gateway`, async (t) => {
  t.timeout(600_000);
  const etcd = await startEmbeddedEtcd(t);
  const keys = newKeyspace();
  const relay = new BuiltinRelay({
    ngListen: { host: '127.0.0.1', port: 0 },
    interfaces: interfacesAt(),
    portMin: 20_000,
    portMax: 20_999,
    maxSessions: 100,
    idleTimeoutMs: 60_000,
    clock: systemClock,
    log: silentLogger,
  });
  await relay.start();
  t.teardown(() => relay.stop());
  await putRelay(connect(t, etcd.endpoint), keys, aRelay({ controlUrl: relay.controlUrl }));
  const opened = await openReplica(t, etcd.endpoint, keys, {
    HOLDFAST_NG_LISTEN: '127.0.0.1:0',
    HOLDFAST_NG_RATE: '0',
    HOLDFAST_CACHE_ENTRIES: '10000',
  });
  await opened.ready;
  const port = Number(opened.replica.gatewayAddresses('ng')[0]?.split(':')[1]);
  const proxy = new NgClient({ host: '127.0.0.1', port });
  await proxy.start();
  t.teardown(() => proxy.stop());

  const socket = await openSocket(t);
  const samples = [
    ...fc.sample(datagram, { numRuns: kinds, seed }),
    ...fc.sample(fc.oneof(nested, sized), { numRuns: 20, seed }),
    ...corpus.map(({ datagram }) => datagram),
  ];
  for (const sample of samples.slice(-corpus.length)) {
    await new Promise((resolve) => socket.send(sample, port, '127.0.0.1', resolve));
  }
  const { replica, lines } = opened;
  const counters = () => replica.gatewayCounters('ng');
  const options = { counters, lines, socket, port, samples, count, seed };
  await flood(t, options, async () => {
    t.is((await proxy.request({ command: 'ping' })).result, 'pong', `seed ${seed}`);
    const offer = { command: 'offer', 'call-id': 'good', 'from-tag': 'a' };
    t.is(String((await proxy.request({ ...offer, sdp: 'junk' })).result), 'error');
  });
});
