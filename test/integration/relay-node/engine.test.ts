import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { UdpClient } from '../../../services/control/udp/client.js';
import { relayCodec } from '../../../services/registry/codecs/relay.js';
import { Keyspace } from '../../../services/registry/keyspace.js';
import { connect, startEmbeddedEtcd } from '../../support/etcd.js';
import { hasEnded, type Scope, type TestProcess } from '../../support/process.js';
import { eventually, valid } from '../../support/registry.js';
import { testWith } from '../../support/requirement.js';
import { rtpengineCommand } from '../../support/rtpengine.js';
import { rtpproxyCommand, rtpproxyPrograms } from '../../support/rtpproxy.js';
import { logged, logOf, runHoldfast, startHoldfast, startReplica } from '../../support/stack.js';

const keys = new Keyspace('/holdfast/v1');

/** A program of a relay, and its control port on 127.0.0.1. */
interface Program {
  readonly port: number;
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** A relay node that runs the program, and what etcd has of its relay. */
async function running(scope: Scope, kind: string, { port, program, args, env }: Program) {
  const { endpoint } = await startEmbeddedEtcd(scope);
  const { kv } = connect(scope, endpoint);
  const settings = ['--id', 'r1', '--kind', kind, '--control', `127.0.0.1:${port}`];
  const node = await startHoldfast(scope, ['relay-node', ...settings, '--run', '--', program, ...args], {
    HOLDFAST_ETCD: endpoint,
    ...env,
  });
  const relay = async () => {
    const [stored] = (await kv.range({ key: keys.relay('default', 'r1') })).kvs;
    return stored && valid(relayCodec.decode('default/r1', stored.value));
  };
  await logged(node, 'registered');
  return { endpoint, node, relay };
}

/** The process ids of its engine, oldest first: on a busy machine another program may take its port from it at first. */
const enginesOf = (node: TestProcess): number[] =>
  logOf(node).flatMap(({ msg, enginePid }) => (msg === 'engine started' ? [Number(enginePid)] : []));

testWith(rtpproxyPrograms, 'a relay node runs an rtpproxy, knows its end at once, and ends it', async (t) => {
  const program = await rtpproxyCommand();
  const { endpoint, node, relay } = await running(t, 'rtpproxy', program);
  const { client } = await startReplica(t, endpoint);
  const proxy = new UdpClient({ host: '127.0.0.1', port: program.port, timeoutMs: 1000 });
  t.teardown(() => proxy.stop());
  const ask = async (command: string) => String(await proxy.request(Buffer.from(command))).trim();
  const first = await relay();
  t.like(first, { kind: 'rtpproxy', controlUrl: `udp:127.0.0.1:${program.port}`, state: 'active' });
  const before = enginesOf(node);

  process.kill(before.at(-1) ?? 0, 'SIGKILL');
  await eventually(async () => ![undefined, first?.instance].includes((await relay())?.instance), 'new life');
  const after = enginesOf(node);
  t.true(after.length > before.length);
  const reasons: string[] = [];
  await eventually(async () => {
    for await (const { event } of client.watchEvents({ sinceSeconds: 3600, follow: false })) {
      reasons.push(...(event?.type === 'relay-left' ? [event.reason] : []));
    }
    return reasons.length > 0;
  }, 'event');
  t.deepEqual(reasons, ['the process of the relay has ended (SIGKILL)']);
  const { http } = await logged(node, 'started');
  const metrics = await (await fetch(`http://${http}/metrics`)).text();
  t.true(metrics.includes(`\nholdfast_relay_engine_starts_total ${after.length}\n`), metrics);

  // Its node drains, and takes it along once the last call is over.
  await eventually(async () => /^\d/.test(await ask('U c 127.0.0.1 4000 f')), 'call');
  node.signal('SIGTERM');
  await node.waitForLine(/"calls":1,.*"msg":"draining"/);
  const last = after.at(-1) ?? 0;
  t.false(hasEnded(last));
  t.is(await ask('D c f'), '0');
  t.deepEqual(await node.exited, { code: 0, signal: null });
  t.true(hasEnded(last));
});

testWith(rtpproxyPrograms, 'an rtpproxy does not outlive a relay node that is killed', async (t) => {
  const { node } = await running(t, 'rtpproxy', await rtpproxyCommand());
  const pid = enginesOf(node).at(-1) ?? 0;
  t.false(hasEnded(pid));
  await node.kill();
  await eventually(() => hasEnded(pid), 'end of the engine');
});

testWith(['rtpengine'], 'an rtpengine that dies as soon as it has started gets a new instance', async (t) => {
  const { node, relay } = await running(t, 'rtpengine', await rtpengineCommand());
  for (let life = 1; life <= 2; life++) {
    const before = (await relay())?.instance;
    process.kill(enginesOf(node).at(-1) ?? 0, 'SIGKILL');
    await eventually(async () => ![undefined, before].includes((await relay())?.instance), 'new life');
  }
  node.signal('SIGTERM');
  t.deepEqual(await node.exited, { code: 0, signal: null });
  t.true(enginesOf(node).every(hasEnded));
});

testWith(rtpproxyPrograms, 'a check of a node that is to run an rtpproxy runs it for a moment', async (t) => {
  const { endpoint } = await startEmbeddedEtcd(t);
  const { port, program, args, env } = await rtpproxyCommand();
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-run-'));
  t.teardown(() => rm(directory, { recursive: true }));
  const file = join(directory, 'node.toml');
  await writeFile(file, `id = "r1"\nkind = "rtpproxy"\nrun = ${JSON.stringify([program, ...args])}\n`);
  const { code, output } = await runHoldfast(t, ['check', 'relay-node', '--config', file], {
    HOLDFAST_ETCD: endpoint,
    HOLDFAST_RELAY_CONTROL: `127.0.0.1:${port}`,
    ...env,
  });
  t.is(code, 0, output);
  t.regex(output, /rtpproxy .*answers at udp:127\.0\.0\.1:\d+: 0 calls/);
});

test('a command that cannot be run is refused at the start', async (t) => {
  const node = ['relay-node', '--id', 'r1', '--kind', 'rtpproxy'];
  for (const [args, code, message] of [
    [['--run'], 2, /--run and a command after -- belong together/],
    [['--', 'rtpproxy'], 2, /--run and a command after -- belong together/],
    [['--run', '--', '/etc/passwd', '-f'], 78, /HOLDFAST_RELAY_RUN: \/etc\/passwd is not executable/],
    [['--run', '--', 'no-such-rtpproxy'], 78, /HOLDFAST_RELAY_RUN: no program no-such-rtpproxy is found/],
    [['--kind', 'builtin', '--run', '--', 'rtpproxy'], 78, /HOLDFAST_RELAY_RUN is set for a relay of kind/],
  ] as const) {
    const ended = await runHoldfast(t, [...node, ...args]);
    t.is(ended.code, code, args.join(' '));
    t.regex(ended.output, message);
  }
});
