import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { RelayState } from '../../../proto/generated/holdfast/v1/relay.js';
import { startRealEtcd } from '../../support/etcd.js';
import { type Scope, startProcess } from '../../support/process.js';
import { findProgram } from '../../support/program.js';
import { eventually } from '../../support/registry.js';
import { repository } from '../../support/repository.js';
import { testWith } from '../../support/requirement.js';
import {
  logged,
  logOf,
  runHoldfast,
  startHoldfast,
  startRelayNode,
  startReplica,
} from '../../support/stack.js';

const programs = ['etcd', 'etcdctl'];
const password = 'a-secret-of-tests';

/** The commands of the page for operators. */
const setUp = [
  ...readFileSync(join(repository, 'services/replica/README.md'), 'utf8').matchAll(
    /^ {4}etcdctl ((?:role|user|auth) .*)$/gm,
  ),
].map(([, text = '']) => text.replaceAll('PASSWORD', password).split(' '));

/** Where the page says that its relay is controlled. */
const atDocumentedAddress = { HOLDFAST_RELAY_ADVERTISE: '192.0.2.10:2223' };

const loginOf = (user: string) => ({ HOLDFAST_ETCD_USERNAME: user, HOLDFAST_ETCD_PASSWORD: password });

/** A real etcd with authentication on, set up as that page says. */
async function authScene(scope: Scope, extraArgs: readonly string[] = []) {
  const etcd = await startRealEtcd(scope, ['--bcrypt-cost', '4', ...extraArgs]);
  const run = async (args: readonly string[]) => {
    const child = await startProcess(
      scope,
      findProgram('etcdctl') ?? '',
      ['--endpoints', etcd.endpoint, ...args],
      {
        env: { ETCDCTL_API: '3' },
      },
    );
    const { code } = await child.exited;
    return { code, output: child.output };
  };
  for (const args of setUp) {
    const { code, output } = await run(args);
    if (code !== 0) {
      throw new Error(`etcdctl ${args.join(' ')}: ${output}`);
    }
  }
  const as = (user: string, args: readonly string[]) => run(['--user', `${user}:${password}`, ...args]);
  return { etcd, as };
}

testWith(programs, 'with the documented roles a replica and a relay node do all that they do', async (t) => {
  t.true(setUp.length > 15);
  const { etcd } = await authScene(t);
  const { client, process } = await startReplica(t, etcd.endpoint, loginOf('selection'));
  const node = await startRelayNode(t, {
    id: 'media-1',
    etcd: etcd.endpoint,
    env: { ...loginOf('relay-media-1'), ...atDocumentedAddress },
  });
  await eventually(async () => (await client.listRelays('')).relays[0]?.load !== undefined, 'a load report');

  t.is((await client.select({ callId: 'a' })).binding?.relay?.id, 'media-1');
  await client.setIntent({ relayId: 'media-1', set: 'default', state: RelayState.DRAINING });
  await eventually(
    async () => (await client.listRelays('')).relays[0]?.state === RelayState.DRAINING,
    'the intent',
  );
  await client.setIntent({ relayId: 'media-1', set: 'default', state: RelayState.ACTIVE });
  // The relay's process is another after a restart: the call moves to it.
  const before = (await client.lookup({ callId: 'a' })).binding?.relay?.instance;
  await node.process.stop();
  await startRelayNode(t, {
    id: 'media-1',
    etcd: etcd.endpoint,
    env: { ...loginOf('relay-media-1'), ...atDocumentedAddress },
  });
  await eventually(async () => {
    const { binding } = await client.select({ callId: 'a' });
    return binding?.generation === 2n && binding.relay?.instance !== before;
  }, 'the move');
  t.true((await client.release({ callId: 'a' })).found);
  const bindings: string[] = [];
  for await (const { callId } of client.listBindings('default', 'media-1')) {
    bindings.push(callId);
  }
  t.deepEqual(bindings, ['a']);
  const complaints = logOf(process).filter((line) => JSON.stringify(line).includes('permi'));
  t.deepEqual(complaints, []);
});

testWith(programs, 'a relay node writes below its own names and nowhere else', async (t) => {
  const { etcd, as } = await authScene(t);
  const relay = (args: readonly string[]) => as('relay-media-1', args);
  for (const kind of ['relays', 'instances', 'load']) {
    t.is((await relay(['put', `/holdfast/v1/${kind}/default/media-1`, '{}'])).code, 0, kind);
    for (const other of ['default/media-2', 'default/media-10', 'other/media-1']) {
      t.regex(
        (await relay(['put', `/holdfast/v1/${kind}/${other}`, '{}'])).output,
        /permission denied/,
        other,
      );
    }
  }
  for (const key of ['intents/default/media-1', 'calls/a', 'moves/a']) {
    t.regex((await relay(['put', `/holdfast/v1/${key}`, '{}'])).output, /permission denied/, key);
    t.regex((await relay(['get', `/holdfast/v1/${key}`])).output, /permission denied/, key);
  }
  // As the program: under the name of another relay it does not start.
  const args = ['relay-node', '--id', 'media-2', '--control', '127.0.0.1:0'];
  const other = await runHoldfast(t, args, { HOLDFAST_ETCD: etcd.endpoint, ...loginOf('relay-media-1') });
  t.is(other.code, 78, other.output);
  t.regex(other.output, /etcd does not permit this to the user/);

  t.is((await as('operator', ['get', '--prefix', '/holdfast/v1/'])).code, 0);
  t.is((await as('operator', ['put', '/holdfast/v1/intents/default/media-1', '{}'])).code, 0);
  t.regex((await as('operator', ['put', '/holdfast/v1/calls/a', '{}'])).output, /permission denied/);
  for (const key of ['relays/default/media-1', 'instances/default/media-1', 'load/default/media-1']) {
    t.regex((await as('selection', ['put', `/holdfast/v1/${key}`, '{}'])).output, /permission denied/, key);
  }
});

testWith(
  programs,
  'a login that etcd refuses ends the start, with what to change and without the password',
  async (t) => {
    const { etcd } = await authScene(t);
    const cases: readonly (readonly [Record<string, string>, RegExp])[] = [
      [{}, /etcd requires a login: set HOLDFAST_ETCD_USERNAME and HOLDFAST_ETCD_PASSWORD/],
      [loginOf('nobody'), /etcd refuses the login: set HOLDFAST_ETCD_USERNAME and HOLDFAST_ETCD_PASSWORD/],
      [
        { HOLDFAST_ETCD_USERNAME: 'selection', HOLDFAST_ETCD_PASSWORD: 'wrong-secret' },
        /etcd refuses the login: set HOLDFAST_ETCD_USERNAME and HOLDFAST_ETCD_PASSWORD/,
      ],
    ];
    const commands = [
      ['selection', '--grpc', '127.0.0.1:0'],
      ['relay-node', '--id', 'media-1', '--control', '127.0.0.1:0'],
    ];
    const runs = cases.flatMap(([env, message]) =>
      commands.map(async (args) => ({
        message,
        ...(await runHoldfast(t, args, { HOLDFAST_ETCD: etcd.endpoint, ...env })),
      })),
    );
    for (const { message, code, output } of await Promise.all(runs)) {
      t.is(code, 78, output);
      t.regex(output, message);
      t.notRegex(output, /secret/);
    }
  },
);

testWith(
  programs,
  'tokens that etcd has forgotten are asked for again, by calls and streams alike',
  async (t) => {
    const { etcd } = await authScene(t, ['--auth-token-ttl', '1']);
    const { client, process } = await startReplica(t, etcd.endpoint, loginOf('selection'));
    const node = await startRelayNode(t, {
      id: 'media-1',
      etcd: etcd.endpoint,
      env: { ...loginOf('relay-media-1'), ...atDocumentedAddress },
    });
    await eventually(async () => (await client.listRelays('')).relays.length === 1, 'the relay');
    // The replica asks etcd nothing for longer than a token lives.
    await new Promise((resolve) => setTimeout(resolve, 3000));
    t.is((await client.select({ callId: 'idle' })).binding?.relay?.id, 'media-1');

    // A restart forgets all tokens; watches and the lease go on with new ones.
    await etcd.restart();
    await eventually(async () => (await client.listRelays('')).fresh, 'a watch');
    await eventually(
      async () => (await client.select({ callId: 'new' }).catch(() => undefined)) !== undefined,
      'an answer',
    );
    await client.setIntent({ relayId: 'media-1', set: 'default', state: RelayState.DRAINING });
    await eventually(
      async () => (await client.listRelays('')).relays[0]?.state === RelayState.DRAINING,
      'news of the intent',
    );
    t.true(process.running && node.process.running);
  },
);

testWith(programs, 'a process that is configured with a login works while etcd asks for none', async (t) => {
  const etcd = await startRealEtcd(t);
  const child = await startHoldfast(t, ['selection', '--grpc', '127.0.0.1:0'], {
    HOLDFAST_ETCD: etcd.endpoint,
    ...loginOf('selection'),
  });
  await logged(child, 'ready');
  t.pass();
});
