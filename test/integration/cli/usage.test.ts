import { createServer } from 'node:net';
import test from 'ava';
import { relayNodeSettings } from '../../../relay-node/config.js';
import { selectionSettings } from '../../../services/replica/config.js';
import { startEmbeddedEtcd } from '../../support/etcd.js';
import { freeTcpPort } from '../../support/ports.js';
import { startProcess } from '../../support/process.js';
import { eventually } from '../../support/registry.js';
import { putLoad } from '../../support/replica.js';
import { holdfast, logged, logOf, runHoldfast, startHoldfast, startReplica } from '../../support/stack.js';

import { fails, stack, succeeds } from './scene.js';

test('--help of every command names what it does and all its options', async (t) => {
  const help = await succeeds(t, '--help');
  const names = [
    'up',
    'check',
    'selection',
    'relay-node',
    'settings',
    'relays',
    'events',
    'drain',
    'disable',
    'resume',
    'weight',
    'bindings',
    'select',
    'lookup',
    'history',
    'move',
    'release',
    'completion',
  ];
  for (const name of names) {
    t.regex(help, new RegExp(`^  ${name}\\b`, 'm'));
  }
  t.regex(help, /Exit codes:\n {2}0 {2}done\n/);
  t.regex(help, /Examples:\n/);
  for (const name of names) {
    const text = await succeeds(t, name, '--help');
    t.regex(text, new RegExp(`^Usage: holdfast ${name}`));
    t.regex(text.split('\n')[2] ?? '', /^[A-Z]/, `${name} says what it does`);
    for (const [, option] of text.matchAll(/^ {2}(--\S+)/gm)) {
      t.regex(text, new RegExp(`${option}.* \\S`));
    }
    t.notRegex(text, /default: (false|""|\[\]|\{\})/);
  }
  for (const [name, settings] of [
    ['selection', selectionSettings],
    ['relay-node', relayNodeSettings],
  ] as const) {
    const text = (await succeeds(t, name, '--help')).replaceAll(/\s+/g, ' ');
    for (const setting of Object.values(settings)) {
      t.true(text.includes(setting.name), setting.name);
      t.true(text.includes(setting.description), setting.name);
      t.true(text.includes(setting.allowed), setting.name);
    }
  }
});

const wrong: [string[], RegExp][] = [
  [['nonsense'], /^error: unknown command 'nonsense'/],
  [['relays', '--bogus'], /^error: unknown option '--bogus'/],
  [['select'], /^error: missing required argument 'call-id'/],
  [['select', 'a', 'b'], /^error: too many arguments for 'select'/],
  [['select', 'a', '--ttl', '9'], /--ttl <seconds>' argument '9' is invalid\. allowed: 10-86400/],
  [
    ['select', 'a', '--label', 'codec'],
    /--label <name=value>' argument 'codec' is invalid\. allowed: NAME=VALUE/,
  ],
  [['select', ''], /^holdfast: INVALID_ARGUMENT: call_id: is empty/],
  [['select', 'a', '--exclude', 'R'], /^holdfast: INVALID_ARGUMENT: excluded_relay_ids: "R"/],
  [['move', 'a', '--reason', 'x'], /^error: required option '--generation <number>' not specified/],
  [['move', 'a', '--generation', '1'], /^error: required option '--reason <text>' not specified/],
  [
    ['move', 'a', '--generation', 'x', '--reason', 'x'],
    /'--generation <number>' argument 'x' is invalid\. allowed: 1-/,
  ],
  [
    ['weight', 'r1', '10001'],
    /argument value '10001' is invalid for argument 'weight'\. allowed: 0-10000, or own/,
  ],
  [['drain', 'R'], /^holdfast: INVALID_ARGUMENT: relay_id: "R" is not a DNS label; allowed: 1-63/],
  [
    ['relays', '--server', 'nowhere'],
    /'--server <host:port>' argument 'nowhere' is invalid\. allowed: 1-9 of HOST:PORT, separated by commas/,
  ],
  [
    ['select', 'a', '--cert', 'x'],
    /^holdfast: HOLDFAST_CERT and HOLDFAST_KEY \(--cert, --key\) must be set together/,
  ],
  [['select', 'a', '--cert', 'x', '--key', 'x'], /^holdfast: HOLDFAST_CERT \(--cert\) needs HOLDFAST_CA/],
  [
    ['select', 'a', '--ca', '/nowhere'],
    /^holdfast: HOLDFAST_CA="\/nowhere": the file cannot be read \(ENOENT\)/,
  ],
  [['up', '--port', '65535'], /'--port <port>' argument '65535' is invalid\. allowed: 0-65534/],
  [['up', '--etcd', 'x'], /'--etcd <endpoints>' argument 'x' is invalid\. allowed: 1-9 of HOST:PORT/],
];

test('wrong usage: exit code 2, and what is wrong on standard error', async (t) => {
  for (const [args, message] of wrong) {
    t.regex(await fails(t, 2, ...args), message, args.join(' '));
  }
});

test('a server that is not there, or not Holdfast: exit code 4, and what to do about it', async (t) => {
  const nobody = `127.0.0.1:${await freeTcpPort()}`;
  const silent = createServer();
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  t.teardown(() => void silent.close());
  const { port } = silent.address() as { port: number };
  for (const args of [
    ['relays'],
    ['relays', '--watch'],
    ['select', 'a'],
    ['bindings', '--relay', 'r1'],
    ['drain', 'r1'],
  ]) {
    t.is(
      await fails(t, 4, ...args, '--server', nobody),
      `holdfast: no Holdfast replica answers at ${nobody}: is it running? (--server or HOLDFAST_SERVER names another)\n`,
    );
  }
  // The command and its connection are given up at the same time, after 5 s.
  const silence = await fails(t, 4, 'relays', '--server', `127.0.0.1:${port}`);
  t.regex(silence, /did not answer within 5 s|no Holdfast replica answers at/);
  t.regex(await fails(t, 4, 'relays', '--server', 'host.invalid:7400'), /host\.invalid:7400 has no address/);
});

test('of several servers the first that answers is asked', async (t) => {
  const { grpc } = await stack;
  const nobody = `127.0.0.1:${await freeTcpPort()}`;
  for (const args of [['relays'], ['bindings', '--relay', 'r1'], ['lookup', 'nobody']]) {
    const { code, output } = await runHoldfast(t, [...args, '--server', `${nobody},${grpc}`]);
    t.is(code, args[0] === 'lookup' ? 3 : 0, output);
  }
  t.regex(
    await fails(t, 4, 'relays', '--server', `${nobody},${nobody}`),
    new RegExp(`no Holdfast replica answers at ${nobody}`),
  );
});

test('the flag wins over the environment', async (t) => {
  const { grpc } = await stack;
  const wrongServer = { HOLDFAST_SERVER: '127.0.0.1:1' };
  t.is((await runHoldfast(t, ['relays', '--server', grpc], wrongServer)).code, 0);
  t.is((await runHoldfast(t, ['relays'], wrongServer)).code, 4);
  const finished = await runHoldfast(t, ['selection', '--placement', 'bar'], { HOLDFAST_PLACEMENT: 'foo' });
  t.is(finished.code, 78);
  t.regex(finished.output, /HOLDFAST_PLACEMENT="bar"/);
});

test('a wrong environment stops the start: exit code 78, every problem at once', async (t) => {
  const selection = await runHoldfast(t, ['selection'], {
    HOLDFAST_PLACEMENT: 'foo',
    HOLDFAST_LINGER_SECONDS: '1',
    HOLDFAST_ETCD: 'not an address',
    HOLDFAST_GRPC_LISTEN: '7400',
  });
  t.is(selection.code, 78);
  t.is(selection.stdout, '');
  t.deepEqual(selection.output.trimEnd().split('\n'), [
    'holdfast: configuration is wrong:',
    '  HOLDFAST_GRPC_LISTEN="7400": allowed: HOST:PORT (flag --grpc)',
    '  HOLDFAST_PLACEMENT="foo": allowed: least-loaded, rendezvous, round-robin, first-available (flag --placement)',
    '  HOLDFAST_LINGER_SECONDS="1": allowed: 5-600 (flag --linger)',
    '  HOLDFAST_ETCD="not an address": allowed: 1-9 of HOST:PORT, http://HOST:PORT or https://HOST:PORT, separated by commas (flag --etcd)',
  ]);
  const node = await runHoldfast(t, ['relay-node'], { HOLDFAST_RELAY_MEDIA: 'default=0.0.0.0' });
  t.is(node.code, 78);
  t.regex(node.output, /HOLDFAST_RELAY_ID is not set; allowed: 1-63 of/);
  t.regex(node.output, /HOLDFAST_RELAY_MEDIA="default=0\.0\.0\.0": allowed: .*that parties can send to/);
  const ports = { HOLDFAST_RELAY_ID: 'a', HOLDFAST_RELAY_PORT_MIN: '5000', HOLDFAST_RELAY_PORT_MAX: '4000' };
  const crossed = await runHoldfast(t, ['relay-node'], ports);
  t.is(crossed.code, 78);
  t.regex(crossed.output, /HOLDFAST_RELAY_PORT_MAX=4000: allowed: above HOLDFAST_RELAY_PORT_MIN \(5000\)/);
});

test('a HOLDFAST_ variable that means nothing is warned of', async (t) => {
  const child = await startHoldfast(t, ['selection'], {
    HOLDFAST_PLACMENT: 'rendezvous',
    HOLDFAST_ETCD: `127.0.0.1:${await freeTcpPort()}`,
    HOLDFAST_GRPC_LISTEN: '127.0.0.1:0',
  });
  await logged(child, 'listening; reading etcd');
  const warned = logOf(child).filter(({ msg }) => msg === 'not a setting of this process; ignored');
  t.true(warned.some(({ variable, level }) => variable === 'HOLDFAST_PLACMENT' && level === 40));
  // It waits for etcd; a signal ends it in order all the same.
  child.signal('SIGTERM');
  t.deepEqual(await child.exited, { code: 0, signal: null });
});

test('a stream that lasts does not outlast the stop deadline', async (t) => {
  const { endpoint } = await startEmbeddedEtcd(t);
  const replica = await startReplica(t, endpoint, { HOLDFAST_STOP_DEADLINE_SECONDS: '6' });
  const events = replica.client.watchRelays('default');
  t.false((await events.next()).done);
  replica.process.signal('SIGTERM');
  await t.throwsAsync(
    async () => {
      for await (const _ of events) {
      }
    },
    { name: 'HoldfastRpcError', message: /Connection dropped|No connection/ },
  );
  t.deepEqual(await replica.process.exited, { code: 0, signal: null });
});

test('a port in use ends the start: exit code 1, and what to change', async (t) => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  t.teardown(() => void taken.close());
  const address = `127.0.0.1:${(taken.address() as { port: number }).port}`;
  const help = 'another process has it: stop that one, or choose another port';
  for (const [args, setting] of [
    [['selection', '--grpc', address], 'gRPC (HOLDFAST_GRPC_LISTEN)'],
    [['selection', '--grpc', '127.0.0.1:0', '--http', address], 'HTTP (HOLDFAST_HTTP_LISTEN)'],
    [
      ['relay-node', '--id', 'a', '--control', '127.0.0.1:0', '--http', address],
      'HTTP (HOLDFAST_HTTP_LISTEN)',
    ],
  ] as const) {
    const finished = await runHoldfast(t, args);
    t.is(finished.code, 1);
    t.true(
      finished.output.endsWith(`holdfast: cannot listen on ${address} for ${setting}: ${help}\n`),
      finished.output,
    );
  }
});

test('closed output ends the command silently', async (t) => {
  const { grpc } = await stack;
  const watch = `"$0" "$1" relays --watch --json --set default; echo "exit $?" >&2`;
  const child = await startProcess(
    t,
    '/bin/sh',
    ['-c', `{ ${watch}; } | head -n 1`, process.execPath, holdfast],
    {
      env: { HOLDFAST_SERVER: grpc },
    },
  );
  await child.waitForLine('"event":"snapshot"');
  // It notices the closed pipe at its next write.
  const { client, keys } = await stack;
  await eventually(async () => {
    await putLoad(client, keys, 'r2', { calls: 1 });
    return /exit \d+/.test(child.output);
  }, 'end');
  t.regex(child.output, /^\{.*\}\nexit 0\n$/);
});
