import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { startEmbeddedEtcd } from '../../support/etcd.js';
import { logged, runHoldfast, startHoldfast } from '../../support/stack.js';

/** The settings of a process in a file. */

async function fileWith(t: ExecutionContext, text: string): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-config-'));
  t.teardown(() => rm(directory, { recursive: true, force: true }));
  const path = join(directory, 'holdfast.toml');
  await writeFile(path, text, { mode: 0o600 });
  return path;
}

test('a flag wins over a variable, and that over the file', async (t) => {
  const { endpoint } = await startEmbeddedEtcd(t);
  const path = await fileWith(
    t,
    `
    # Comments are allowed.
    etcd = ["${endpoint}", "127.0.0.1:1"]
    etcd-prefix = "/from/file"
    grpc = "127.0.0.2:0"
    http = "127.0.0.2:0"
    `,
  );
  const ready = async (args: readonly string[], env: Record<string, string>) => {
    const child = await startHoldfast(t, ['selection', '--config', path, ...args], env);
    const { grpc, http } = await logged(child, 'ready');
    return `${grpc} ${http}`;
  };
  t.regex(
    await ready([], { HOLDFAST_GRPC_LISTEN: '', HOLDFAST_HTTP_LISTEN: '' }),
    /^127\.0\.0\.2:\d+ 127\.0\.0\.2:\d+$/,
  );
  const environment = { HOLDFAST_GRPC_LISTEN: '127.0.0.3:0', HOLDFAST_HTTP_LISTEN: '127.0.0.3:0' };
  t.regex(await ready(['--http', '127.0.0.4:0'], environment), /^127\.0\.0\.3:\d+ 127\.0\.0\.4:\d+$/);
});

const wrong: [string, RegExp][] = [
  ['etcd = ', /:1:8: Invalid TOML document/],
  ['grpcc = "127.0.0.1:0"', /: grpcc: no such setting; allowed: .*\bgrpc, /],
  ['linger = 4', /: linger="4": allowed: 5-600 \(flag --linger\)/],
  ['[etcd]\nprefix = "/x"', /: etcd=a table: allowed: 1-9 of HOST:PORT/],
  [
    'etcd-timeout-ms = "1"\nlog-level = "loud"',
    /etcd-timeout-ms="1".*\n?.*log-level="loud": allowed: trace/s,
  ],
];

test('what is wrong in the file is named, with what is allowed', async (t) => {
  for (const [text, message] of wrong) {
    const path = await fileWith(t, text);
    const { code, output } = await runHoldfast(t, ['selection', '--config', path]);
    t.is(code, 78, output);
    t.true(output.includes(path), output);
    t.regex(output, message);
  }
  const missing = await runHoldfast(t, ['selection'], { HOLDFAST_CONFIG: '/nowhere.toml' });
  t.is(missing.code, 78);
  t.regex(missing.output, / \/nowhere\.toml: cannot be read: ENOENT/);
});

test('a secret in a file that all users can read is refused', async (t) => {
  const path = await fileWith(t, 'etcd-username = "a"\netcd-password = "hidden"');
  await chmod(path, 0o644);
  const { code, output } = await runHoldfast(t, ['selection', '--config', path]);
  t.is(code, 78, output);
  t.regex(output, /etcd-password is secret, and all users can read the file; allowed: chmod o= /);
  t.false(output.includes('hidden'));
});
