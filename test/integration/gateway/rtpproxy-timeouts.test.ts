import { mkdtemp, rm } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { selfHost } from '../../../services/control/rtpproxy/notify-socket.js';
import { wrapNotice } from '../../../services/control/rtpproxy/timeout-notice.js';
import { endOfPrefix } from '../../../services/etcd/range.js';
import { notifiedSocket } from '../../support/notified-socket.js';
import { freeTcpPort } from '../../support/ports.js';
import { eventually } from '../../support/registry.js';
import { openReplica } from '../../support/replica.js';
import { testWith } from '../../support/requirement.js';
import { type Rtpproxy, rtpproxyPrograms, startRtpproxy } from '../../support/rtpproxy.js';
import { type Ask, notifyingEngines, proxyOf, rtpproxyGateway } from './rtpproxy-scene.js';
import { builtinRelay } from './scene.js';

const isMedia = /^[1-9]\d{4} 127\.0\.0\.1$/;

/** As its own host names a socket. */
const asSelf = (name: string) => name.replace('127.0.0.1', selfHost);

testWith.serial(rtpproxyPrograms, 'an rtpproxy tells what the last U of a session says', async (t) => {
  const proxy = await notifiedSocket(t);
  const { name } = proxy;
  const { ask } = await startRtpproxy(t, { engine: ['-l', '127.0.0.1', '-T', '2', '-n', name] });
  for (const command of [
    `U kept 127.0.0.1 4000 f;1 ${name} kept`,
    'L kept 127.0.0.1 4002 f;1 t;1',
    `U changed 127.0.0.1 4000 f;1 ${name} changed`,
    `U changed 127.0.0.1 4002 t;1 f;1 ${name} by%20the%20callee`,
    `U withdrawn 127.0.0.1 4000 f;1 ${name} withdrawn`,
    'U withdrawn 127.0.0.1 4000 f;1 t;1',
    'U refused 127.0.0.1 4000 f;1 tcp:127.0.0.1:9 refused',
  ]) {
    t.regex(await ask(command), isMedia, command);
  }
  t.is(await ask(`U malformed 127.0.0.1 4000 f;1 ${name} a%zz`), 'E10');
  await eventually(() => proxy.heard.length >= 2, 'timeouts');
  await eventually(async () => /active sessions: 0\n/.test(await ask('I')), 'end of all sessions');
  t.deepEqual([...proxy.heard].sort(), ['by the callee', 'kept']);
});

testWith.serial(
  rtpproxyPrograms,
  'timeouts of a relay are told to the proxy that has asked for them',
  async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'holdfast-notify-'));
    t.teardown(() => rm(directory, { recursive: true, force: true }));
    const [opensips, sippy, foreign] = await Promise.all([
      notifiedSocket(t),
      notifiedSocket(t, join(directory, 'b2bua.sock')),
      notifiedSocket(t),
    ]);
    const sockets = [asSelf(opensips.name), sippy.name];
    const { ask, replica } = await notifyingEngines(t, 1, { ttl: 2, sockets });
    t.is(await ask('VF 20081224'), '1');
    for (const command of [
      `U a@h 127.0.0.1 4000 f;1 ${opensips.name} T1.1`,
      `U a@h 127.0.0.1 4002 f;2 ${asSelf(opensips.name)} T1.2`,
      `U b@h 127.0.0.1 4000 f;1 ${sippy.name} r%201`,
      // A path alone, and the tag of a later U in its place.
      `U c@h 127.0.0.1 4000 f;1 ${sippy.name.slice('unix:'.length)} old`,
      `U c@h 127.0.0.1 4000 f;1 t;1 ${sippy.name} r%252`,
      `U d@h 127.0.0.1 4000 f;1 ${foreign.name} T4`,
      `U e@h 127.0.0.1 4000 f;1 ${opensips.name} T5`,
    ]) {
      t.regex(await ask(command), isMedia, command);
    }
    t.is(await ask('D e@h f'), '0');
    t.is(await ask(`U g@h 127.0.0.1 4000 f;1 ${opensips.name} a%zz`), 'E10', 'as an rtpproxy answers');
    await eventually(() => opensips.heard.length === 2 && sippy.heard.length === 2, 'timeouts');
    t.deepEqual([...opensips.heard].sort(), ['T1.1', 'T1.2']);
    t.deepEqual([...sippy.heard].sort(), ['r 1', 'r%2']);
    t.deepEqual(foreign.heard, [], 'it is not listed');
    t.like(replica.gatewayCounters('rtpproxy'), { noticesTold: 4, noticesLost: 0, noticesUnknown: 0 });
  },
);

testWith.serial(
  rtpproxyPrograms,
  'a gateway that has restarted passes on the timeouts of calls from before',
  async (t) => {
    const proxy = await notifiedSocket(t);
    const { ask, stop, relays, env } = await notifyingEngines(t, 1, { ttl: 4, sockets: [proxy.name] });
    t.regex(await ask(`U a@h 127.0.0.1 4000 f;1 ${proxy.name} T1`), isMedia);
    await stop();
    await rtpproxyGateway(t, relays, env);
    await eventually(() => proxy.heard.length > 0, 'timeout');
    t.deepEqual(proxy.heard, ['T1']);
  },
);

testWith.serial(
  rtpproxyPrograms,
  'a relay that is lost tells nobody: the gateway does, of the calls that are still bound to it',
  async (t) => {
    const proxy = await notifiedSocket(t);
    const { engines, ask, client, keys, bindingOf } = await notifyingEngines(t, 2, {
      ttl: 600,
      sockets: [proxy.name],
    });
    const [first] = engines as [Rtpproxy];
    for (const id of ['a', 'b', 'c', 'd']) {
      t.regex(await ask(`U ${id}@h 127.0.0.1 4000 f;1 ${proxy.name} T-${id}`), isMedia);
      t.regex(await ask(`L ${id}@h 127.0.0.1 4002 f;1 t;1`), isMedia);
    }
    // Two streams with one tag are told once.
    t.regex(await ask(`U a@h 127.0.0.1 4004 f;2 ${proxy.name} T-a`), isMedia);
    t.is(await ask('D d@h f t'), '0');
    await eventually(async () => (await bindingOf('d@h'))?.released === true, 'release');
    await first.kill();
    await client.kv.deleteRange({ key: keys.relay('default', 'r1') });
    await eventually(async () => isMedia.test(await ask('U e@h 127.0.0.1 4000 f;1')), 'loss of the relay');
    t.regex(await ask(`U c@h 127.0.0.1 4000 f;1 t;1 ${proxy.name} T-c`), isMedia);
    t.like(await bindingOf('c@h'), { relay: 'r2', generation: 2 });
    await eventually(() => proxy.heard.length >= 2, 'timeouts', 20_000);
    t.deepEqual([...proxy.heard].sort(), ['T-a', 'T-b'], 'one has moved, and one has ended');
    // The proxy sends a re-INVITE.
    t.regex(await ask(`U b@h 127.0.0.1 4000 f;1 t;1 ${proxy.name} T-b`), isMedia);
    t.like(await bindingOf('b@h'), { relay: 'r2', generation: 2 });
  },
);

testWith.serial(
  rtpproxyPrograms,
  'of two gateways one tells of a lost relay, also one that has never heard of the calls',
  async (t) => {
    const proxy = await notifiedSocket(t);
    const one = await notifyingEngines(t, 1, { ttl: 600, sockets: [proxy.name] });
    const begin = async (ask: Ask, id: string) => {
      t.regex(await ask(`U ${id}@h 127.0.0.1 4000 f;1 ${proxy.name} T-${id}`), isMedia);
      t.regex(await ask(`L ${id}@h 127.0.0.1 4002 f;1 t;1`), isMedia);
    };
    // What these calls have asked for, nobody remembers.
    await begin(one.ask, 'a');
    await begin(one.ask, 'b');
    await one.stop();
    const env = async () => ({
      ...one.env,
      HOLDFAST_RTPPROXY_LISTEN: '127.0.0.1:0',
      HOLDFAST_RTPPROXY_NOTIFY_LISTEN: `127.0.0.1:${await freeTcpPort()}`,
    });
    const replicas = await Promise.all(
      [await env(), await env()].map((each) => openReplica(t, one.etcd.endpoint, one.keys, each)),
    );
    await Promise.all(replicas.map(({ ready }) => ready));
    const ports = replicas.map(({ replica }) =>
      Number(replica.gatewayAddresses('rtpproxy')[0]?.split(':')[1]),
    );
    const [first, second] = await Promise.all(ports.map((port) => proxyOf(t, '127.0.0.1', port)));
    // Both know this one.
    await begin(first as Ask, 'c');
    t.regex(await (second as Ask)(`U c@h 127.0.0.1 4000 f;1 t;1 ${proxy.name} T-c`), isMedia);
    const [engine] = one.engines as [Rtpproxy];
    await engine.kill();
    await one.client.kv.deleteRange({ key: one.keys.relay('default', 'r1') });
    await eventually(() => proxy.heard.length >= 3, 'timeouts', 20_000);
    // Nobody can take them a second time.
    const { kvs } = await one.client.kv.range({
      key: Buffer.from(one.keys.calls),
      range_end: endOfPrefix(one.keys.calls),
    });
    t.true(kvs.length >= 3);
    t.false(kvs.some(({ value }) => value.includes('notices')));
    const told = replicas.map(({ replica }) => replica.gatewayCounters('rtpproxy')['noticesTold'] ?? 0);
    t.is(
      told.reduce((sum, each) => sum + each),
      3,
    );
    t.deepEqual([...proxy.heard].sort(), ['T-a', 'T-b', 'T-c']);
  },
);

testWith.serial(
  rtpproxyPrograms,
  'a socket without a tag, as Kamailio 5 names it, spoils no re-INVITE',
  async (t) => {
    const proxy = await notifiedSocket(t);
    const { engines, ask } = await notifyingEngines(t, 1, { ttl: 60, sockets: [proxy.name] });
    const [engine] = engines as [Rtpproxy];
    const own = await ask('U a@h 127.0.0.1 4000 f;1');
    await ask('L a@h 127.0.0.1 4002 f;1 t;1');
    t.is(await ask(`U a@h 127.0.0.1 4000 f;1 t;1 ${proxy.name}`), own);
    // The callee's: the session is known by the second tag.
    const forCaller = await engine.ask('L a@h 127.0.0.1 4002 f;1 t;1');
    t.is(await ask(`U a@h 127.0.0.1 4002 t;1 f;1 ${proxy.name}`), forCaller);
    t.is(await ask('Ib'), await engine.ask('Ib'));
    t.regex(await engine.ask('I'), /active sessions: 1\n/);
    // An rtpproxy alone takes the second tag for the socket, and begins another session.
    t.regex(await engine.ask(`U a@h 127.0.0.1 4002 t;1 f;1 ${proxy.name}`), isMedia);
    t.regex(await engine.ask('I'), /active sessions: 2\n/);
  },
);

testWith.serial([], 'the built-in relay tells its timeouts, too', async (t) => {
  const proxy = await notifiedSocket(t);
  const relay = await builtinRelay(t, {
    answerTimeoutMs: 1500,
    idleTimeoutMs: 1500,
  });
  const port = await freeTcpPort();
  const relays = [
    {
      id: 'r1',
      kind: 'builtin' as const,
      controlUrl: relay.controlUrl,
      rtpproxyUrl: relay.rtpproxyUrl,
      features: await relay.features(),
    },
  ];
  const { ask } = await rtpproxyGateway(t, relays, {
    HOLDFAST_RTPPROXY_NOTIFY: proxy.name,
    HOLDFAST_RTPPROXY_NOTIFY_LISTEN: `127.0.0.1:${port}`,
  });
  t.is(await ask('VF 20081224'), '1');
  t.regex(await ask(`U a@h 127.0.0.1 4000 f;1 ${proxy.name} unanswered`), isMedia);
  t.regex(await ask(`U b@h 127.0.0.1 4000 f;1 ${proxy.name} silent`), isMedia);
  t.regex(await ask('L b@h 127.0.0.1 4002 f;1 t;1'), isMedia);
  // A fork of which one branch has left: the timeout of what is left of it is the one of the call.
  t.regex(await ask(`U c@h 127.0.0.1 4000 f;1 ${proxy.name} forked`), isMedia);
  t.regex(await ask('L c@h 127.0.0.1 4002 f;1 t1;1'), isMedia);
  t.regex(await ask('L c@h 127.0.0.1 4004 f;1 t2;1'), isMedia);
  t.regex(await ask(`U d@h 127.0.0.1 4000 f;1 ${proxy.name} deleted`), isMedia);
  t.is(await ask('D d@h f'), '0');
  await eventually(() => proxy.heard.length >= 3, 'timeouts');
  t.deepEqual([...proxy.heard].sort(), ['forked', 'silent', 'unanswered']);
});

testWith.serial(
  rtpproxyPrograms,
  'whoever reaches the port for timeouts can make the gateway tell listed sockets alone',
  async (t) => {
    const [proxy, foreign] = await Promise.all([notifiedSocket(t), notifiedSocket(t)]);
    const { ask, replica, notifyPort } = await notifyingEngines(t, 1, { ttl: 60, sockets: [proxy.name] });
    const attacker = createConnection({ host: '127.0.0.1', port: notifyPort });
    t.teardown(() => attacker.destroy());
    // It is cut off in the middle of what it sends.
    attacker.on('error', () => {});
    const lines = [
      '',
      'junk',
      'a b c',
      `${foreign.name} x`,
      'unix:/etc/passwd x',
      'tcp:: x',
      `tcp:${selfHost}:1 x`,
    ];
    attacker.write(`${lines.join('\n')}\n${proxy.name} told%0\n${proxy.name} to`);
    await eventually(() => proxy.heard.length > 0, 'what may be told');
    attacker.write('ld\n');
    await eventually(() => proxy.heard.length > 1, 'the rest of a line');
    t.deepEqual(proxy.heard, ['told%0', 'told']);
    t.deepEqual(foreign.heard, []);
    t.is(replica.gatewayCounters('rtpproxy')['noticesUnknown'], lines.length);
    const closed = new Promise((resolve) => attacker.once('close', resolve));
    attacker.write('x'.repeat(100_000));
    await closed;
    t.regex(
      await ask(`U a@h 127.0.0.1 4000 f;1 ${proxy.name} ${wrapNotice({ socket: 'x', tag: 'y' })}`),
      isMedia,
    );
  },
);

testWith.serial(
  rtpproxyPrograms,
  'connections that do nothing keep no relay from telling, and lines have the rate of datagrams',
  async (t) => {
    const proxy = await notifiedSocket(t);
    const port = await freeTcpPort();
    const { replica } = await rtpproxyGateway(t, [], {
      HOLDFAST_RTPPROXY_NOTIFY: proxy.name,
      HOLDFAST_RTPPROXY_NOTIFY_LISTEN: `127.0.0.1:${port}`,
      HOLDFAST_RTPPROXY_RATE: '200',
    });
    const open = () => {
      const socket = createConnection({ host: '127.0.0.1', port });
      socket.on('error', () => {});
      t.teardown(() => socket.destroy());
      return socket;
    };
    const closed: unknown[] = [];
    const idle = Array.from({ length: 100 }, open);
    for (const socket of idle) {
      socket.once('close', () => closed.push(socket));
      socket.resume();
    }
    const relay = open();
    relay.write(`${proxy.name} T1\n`);
    await eventually(() => proxy.heard.includes('T1'), 'what a relay tells');
    t.true(closed.length >= 100 - 32, `${closed.length} were closed`);
    relay.write(`${proxy.name} flood\n`.repeat(5000));
    await eventually(
      () => (replica.gatewayCounters('rtpproxy')['tooMany'] ?? 0) > 3000,
      'lines that are dropped',
    );
    t.true(proxy.heard.length < 2000, `${proxy.heard.length} were told`);
  },
);

testWith.serial(
  rtpproxyPrograms,
  'without sockets that may be told, a relay gets a U as it is',
  async (t) => {
    const proxy = await notifiedSocket(t);
    const engine = await startRtpproxy(t, { engine: ['-l', '127.0.0.1', '-T', '2', '-n', proxy.name] });
    const { port } = await rtpproxyGateway(t, [{ id: 'r1', controlUrl: engine.controlUrl }]);
    const ask = await proxyOf(t, '127.0.0.1', port);
    t.is(await ask('VF 20081224'), '0');
    t.regex(await ask(`U a@h 127.0.0.1 4000 f;1 ${proxy.name} T1`), isMedia);
    await eventually(() => proxy.heard.length > 0, 'timeout');
    t.deepEqual(proxy.heard, ['T1']);
  },
);
