import test, { type ExecutionContext } from 'ava';
import { RtpproxyDriver } from '../../../relay-node/relays/rtpproxy.js';
import { UdpClientError } from '../../../services/control/udp/client.js';
import { UdpServer } from '../../../services/control/udp/server.js';
import { loadCodec } from '../../../services/registry/codecs/load.js';
import { relayCodec } from '../../../services/registry/codecs/relay.js';
import { Keyspace } from '../../../services/registry/keyspace.js';
import { systemClock } from '../../../services/runtime/clock.js';
import { silentLogger } from '../../../services/runtime/log.js';
import { connect, startEmbeddedEtcd } from '../../support/etcd.js';
import type { Scope } from '../../support/process.js';
import { eventually, valid } from '../../support/registry.js';
import { testWith } from '../../support/requirement.js';
import { rtpproxyPrograms, sessionsOn, startRtpproxy } from '../../support/rtpproxy.js';
import { logged, startRelayNode } from '../../support/stack.js';

/** On a busy machine an answer may come too late: then it is asked for again, as a relay node does. */
async function patient<T>(ask: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof UdpClientError) || tries === 20) {
        throw error;
      }
    }
  }
}

async function driver(t: ExecutionContext, port: number): Promise<RtpproxyDriver> {
  const control = { transport: 'udp', address: { host: '127.0.0.1', port } } as const;
  const relay = new RtpproxyDriver({ control, advertise: undefined, clock: systemClock, log: silentLogger });
  await relay.start();
  t.teardown(() => relay.stop());
  return relay;
}

testWith(
  rtpproxyPrograms,
  'an rtpproxy is asked what it can do, and has no session afterwards',
  async (t) => {
    const wide = await startRtpproxy(t, { engine: ['-l', '127.0.0.1', '-6', '/::1'] });
    const plain = await startRtpproxy(t);
    const [first, second] = [await driver(t, wide.port), await driver(t, plain.port)];
    const features = await patient(() => first.features());
    t.true(
      ['bridge', 'ipv4', 'ipv6', 'play', 'record', 'vf-20050322'].every((each) => features.includes(each)),
    );
    const fewer = await patient(() => second.features());
    t.deepEqual(
      features.filter((each) => !fewer.includes(each)),
      ['bridge', 'ipv6'],
    );
    t.regex(await wide.ask('I'), /active sessions: 0/);
    t.regex(await plain.ask('I'), /active sessions: 0/);
  },
);

test('an rtpproxy of an old version is registered with what it can do', async (t) => {
  const answers: Record<string, string> = {
    V: '20040107',
    VF: '0',
    I: 'sessions created: 7\nactive sessions: 2\nactive streams: 4',
    U: '35000',
    D: '0',
  };
  const server = new UdpServer<Buffer>({
    listen: [{ host: '127.0.0.1', port: 0 }],
    service: {
      protocol: 'rtpproxy',
      read: (body) => ({ kind: 'request', request: body }),
      handle: async (body) => {
        const text = body.toString();
        const [word = ''] = text.split(' ');
        return Buffer.from(`${text === 'VF 20050322' ? '1' : (answers[word] ?? 'E0')}\n`);
      },
      refuse: () => Buffer.from('E0\n'),
    },
  });
  await server.start();
  t.teardown(() => server.stop());
  const relay = await driver(t, server.addresses()[0]?.port ?? 0);
  await patient(() => relay.ping());
  const features = ['ipv4', 'vf-20050322'];
  t.deepEqual(await patient(() => relay.features()), features);
  t.like(await patient(() => relay.status()), { calls: 2, packetRate: 0 });

  const { endpoint } = await startEmbeddedEtcd(t);
  const [{ host, port } = { host: '', port: 0 }] = server.addresses();
  const env = { HOLDFAST_RELAY_KIND: 'rtpproxy', HOLDFAST_RELAY_CONTROL: `${host}:${port}` };
  await startRelayNode(t, { id: 'r1', etcd: endpoint, env });
  t.like(await (await registry(t, endpoint)).relay(), { kind: 'rtpproxy', features, state: 'active' });
});

testWith(
  rtpproxyPrograms,
  'a life of an rtpproxy has one instance, whoever asks; a restart has another',
  async (t) => {
    const engine = await startRtpproxy(t);
    const relay = await driver(t, engine.port);
    t.is((await patient(() => relay.status())).instance, undefined);
    const instance = await patient(() => relay.recall(undefined));
    // One session of its own; with more, where it was asked again because it was slow.
    const calls = await sessionsOn(engine);
    await engine.ask('U c 127.0.0.1 4000 f');
    t.like(await patient(() => relay.status()), { instance, calls });
    // A relay node that starts beside it, with what etcd has of it.
    const next = await driver(t, engine.port);
    await patient(() => next.status());
    t.is(await patient(() => next.recall(instance)), instance);
    t.like(await patient(() => next.status()), { instance, calls });

    await engine.restart();
    const restarted = await patient(() => relay.status());
    t.not(restarted.instance, instance);
    t.regex(String(restarted.instance), /^[0-9a-f]{16}$/);
    t.is((await patient(() => relay.status())).instance, restarted.instance);
    const late = await driver(t, engine.port);
    t.not(await patient(() => late.recall(instance)), instance);
  },
);

testWith(rtpproxyPrograms, 'what ends all sessions ends a life, too', async (t) => {
  const engine = await startRtpproxy(t);
  const relay = await driver(t, engine.port);
  const instance = await patient(() => relay.recall(undefined));
  await engine.ask('X');
  t.not((await patient(() => relay.status())).instance, instance);
});

testWith(rtpproxyPrograms, 'an rtpproxy without a free port keeps its instance', async (t) => {
  const engine = await startRtpproxy(t, { portPairs: 2 });
  // It looks for a free pair at random, and not for long.
  let calls = 0;
  for (let i = 0; i < 30; i++) {
    calls += /^\d/.test(await engine.ask(`U call-${i} 127.0.0.1 4000 f`)) ? 1 : 0;
  }
  t.is(calls, 2);
  const relay = await driver(t, engine.port);
  const instance = await patient(() => relay.recall(undefined));
  t.like(await patient(() => relay.status()), { instance, calls });
  t.like(await patient(() => relay.status()), { instance, calls });
});

const keys = new Keyspace('/holdfast/v1');

async function registry(scope: Scope, endpoint: string) {
  const { kv } = connect(scope, endpoint);
  const stored = async (key: Buffer) => (await kv.range({ key })).kvs[0]?.value;
  return {
    relay: async () => {
      const value = await stored(keys.relay('default', 'r1'));
      return value && valid(relayCodec.decode('default/r1', value));
    },
    calls: async () => {
      const value = await stored(keys.loadOf('default', 'r1'));
      return value && valid(loadCodec.decode('', value))?.calls;
    },
  };
}

testWith(rtpproxyPrograms, 'a relay node registers an rtpproxy, and knows its lives apart', async (t) => {
  const { endpoint } = await startEmbeddedEtcd(t);
  const engine = await startRtpproxy(t);
  const etcd = await registry(t, endpoint);
  const options = { id: 'r1', etcd: endpoint, rtpproxy: engine };
  const node = await startRelayNode(t, options);
  const first = await etcd.relay();
  t.like(first, { kind: 'rtpproxy', controlUrl: engine.controlUrl, state: 'active' });
  t.true(first?.features.includes('vf-20050322'));
  await eventually(async () => (await etcd.calls()) === 0, 'report');
  await engine.ask('U c 127.0.0.1 4000 f');
  await eventually(async () => (await etcd.calls()) === 1, 'report of a call');

  // Its node is killed: the call goes on, and so does the instance.
  await node.process.kill();
  const second = await startRelayNode(t, options);
  t.is((await etcd.relay())?.instance, first?.instance);

  await engine.restart();
  await eventually(
    async () => ![undefined, first?.instance].includes((await etcd.relay())?.instance),
    'new instance',
  );

  await engine.pause();
  await eventually(async () => (await etcd.relay()) === undefined, 'end of the registration');
  engine.resume();
  await eventually(async () => (await etcd.relay()) !== undefined, 'registration');

  // A drain ends with the last call.
  await engine.ask('U c 127.0.0.1 4000 f');
  await eventually(async () => (await etcd.calls()) === 1, 'report of a call');
  second.process.signal('SIGTERM');
  await eventually(async () => (await etcd.relay())?.state === 'draining', 'drain');
  await logged(second.process, 'draining');
  await engine.ask('D c f');
  t.deepEqual(await second.process.exited, { code: 0, signal: null });
});
