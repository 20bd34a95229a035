import { access, constants, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { type Scope, startProcess } from '../support/process.js';
import { replicaScene } from '../support/replica.js';
import { repository } from '../support/repository.js';
import { testWith } from '../support/requirement.js';
import { holdfast, runHoldfast } from '../support/stack.js';
import { scratchDirectory } from './scratch.js';

/** What users of the npm package get, outside the repository. */

const npmTimeoutMs = 300_000;
const quietly = ['--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error'];

async function run(scope: Scope, cwd: string, command: string, ...args: string[]): Promise<string> {
  const child = await startProcess(scope, command, args, { cwd });
  return child.success(npmTimeoutMs);
}

/** Packs what `npm run build` has left, without building again: other tests run from it. */
async function pack(scope: Scope) {
  const directory = await scratchDirectory(scope);
  const options = ['--ignore-scripts', '--json', '--pack-destination', directory];
  const [packed] = JSON.parse(await run(scope, repository, 'npm', 'pack', ...options));
  const files = packed.files as { readonly path: string; readonly size: number }[];
  return { tarball: join(directory, packed.filename), files };
}

test('the build leaves a command that can be run', async (t) => {
  await access(holdfast, constants.X_OK);
  const { version } = JSON.parse(await readFile(join(repository, 'package.json'), 'utf8'));
  t.is(await run(t, repository, holdfast, '--version'), `${version}\n`);
});

testWith(['npm'], 'the package has what it needs, and neither tests nor sources', async (t) => {
  const { files } = await pack(t);
  const paths = files.map(({ path }) => path);
  for (const path of [
    'LICENSE',
    'README.md',
    'dist/services/cli/main.js',
    'dist/services/page/static/index.html',
    'dist/services/page/static/page.css',
    'dist/services/page/static/page.js',
    'dist/relay-node/process.js',
    'dist/relay-node/media/prompts/music-on-hold.wav',
    'dist/services/client/index.d.ts',
    'proto/holdfast/v1/selection.proto',
    'proto/generated/descriptors.binpb',
  ]) {
    t.true(paths.includes(path), path);
  }
  const allowed =
    /^(dist\/(services|relay-node|proto)\/.*\.(js|d\.ts)|dist\/services\/page\/static\/\w+\.(html|css)|dist\/relay-node\/media\/prompts\/music-on-hold\.wav|proto\/.*\.(proto|binpb)|[A-Za-z.-]+)$/;
  t.deepEqual(
    paths.filter((path) => !allowed.test(path) || path.includes('test/')),
    [],
  );
  t.true(files.reduce((sum, { size }) => sum + size, 0) < 2_200_000);
});

const script = `
import { HoldfastClient, HoldfastRpcError } from 'holdfast/client';

const holdfast = new HoldfastClient(process.argv[2], { attemptTimeoutMs: 10_000, attempts: 1 });
const { binding } = await holdfast.select({ callId: 'packaged' });
const stream = holdfast.selectStream();
const again = await stream.select({ callId: 'packaged' });
stream.close();
const error = await holdfast.select({ callId: 'other', set: 'empty' }).catch((thrown) => thrown);
console.log(JSON.stringify({
  relay: binding.relay.id,
  same: again.binding.relay.id === binding.relay.id,
  reason: error instanceof HoldfastRpcError && error.reason,
  set: error.set,
}));
holdfast.close();
`;

const typed = `
import { type Binding, credentials, Freshness, HoldfastClient, HoldfastRpcError, Origin, status } from 'holdfast/client';

const holdfast = new HoldfastClient(['192.0.2.1:7400', 'proxy:7400'], { credentials: credentials.createSsl() });

export async function relayOf(callId: string): Promise<string | undefined> {
  try {
    const { binding, origin, freshness } = await holdfast.select({ callId, zone: undefined });
    const bound: Binding | undefined = binding;
    return origin === Origin.NEW && freshness === Freshness.FRESH ? bound?.relay?.controlUrl : undefined;
  } catch (error) {
    if (error instanceof HoldfastRpcError && error.code === status.UNAVAILABLE) {
      const set: string | undefined = error.set;
      return set ?? error.reason ?? String(error.retryDelayMs);
    }
    throw error;
  }
}

// @ts-expect-error: a Call-ID is text.
void holdfast.select({ callId: 7 });
// @ts-expect-error: there is no such field.
void holdfast.lookup({ callID: 'call' });
`;

const tsconfig = {
  compilerOptions: { module: 'nodenext', target: 'es2022', strict: true, noEmit: true, types: ['node'] },
  files: ['typed.ts'],
};

testWith(['npm'], 'installed as a dependency, it gives a client with types', async (t) => {
  t.timeout(npmTimeoutMs);
  const { tarball } = await pack(t);
  const project = await scratchDirectory(t);
  const manifest = { name: 'a-sip-proxy', version: '1.0.0', private: true, type: 'module' };
  await writeFile(join(project, 'package.json'), JSON.stringify(manifest));
  await writeFile(join(project, 'script.js'), script);
  await writeFile(join(project, 'typed.ts'), typed);
  await writeFile(join(project, 'tsconfig.json'), JSON.stringify(tsconfig));
  await run(t, project, 'npm', 'install', ...quietly, tarball, '@types/node@20');

  const { grpc } = await replicaScene(t);
  const printed = JSON.parse(await run(t, project, process.execPath, 'script.js', grpc));
  t.regex(printed.relay, /^r[123]$/);
  t.like(printed, { same: true, reason: 'NO_RELAY', set: 'empty' });
  const bin = join(project, 'node_modules/.bin/holdfast');
  t.is(
    JSON.parse(await run(t, project, bin, 'lookup', 'packaged', '--json', '--server', grpc)).relay.id,
    printed.relay,
  );

  const tsc = join(repository, 'node_modules/.bin/tsc');
  t.is(await run(t, project, tsc, '-p', 'tsconfig.json'), '');
});

testWith(['npm'], 'installed globally, it gives the command', async (t) => {
  t.timeout(npmTimeoutMs);
  const { tarball } = await pack(t);
  const prefix = await scratchDirectory(t);
  await run(t, prefix, 'npm', 'install', '--global', '--prefix', prefix, ...quietly, tarball);
  const bin = join(prefix, 'bin/holdfast');
  const expected = (...args: string[]) => runHoldfast(t, args).then(({ stdout }) => stdout);
  for (const args of [['--version'], ['--help'], ['selection', '--help']]) {
    t.is(await run(t, prefix, bin, ...args), await expected(...args));
  }
});
