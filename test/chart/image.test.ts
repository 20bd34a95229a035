import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { access, chmod, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { startProcess } from '../support/process.js';
import { repository } from '../support/repository.js';
import { testWith } from '../support/requirement.js';
import { dockerfile, entrypoint, imageNode } from './dockerfile.js';
import { ImageBuild } from './image-build.js';

/** Names of the packages in a node_modules directory. */
async function packagesIn(folder: string): Promise<string[]> {
  const names = await readdir(folder);
  const scoped = names.filter((name) => name.startsWith('@'));
  const within = scoped.map(async (scope) =>
    (await readdir(join(folder, scope))).map((name) => `${scope}/${name}`),
  );
  return [...names.filter((name) => !name.startsWith('@')), ...(await Promise.all(within)).flat()];
}

/** Packages that only the build and the tests need, according to the lockfile. */
const developmentOnly: ReadonlySet<string> = (() => {
  const lock = JSON.parse(readFileSync(join(repository, 'package-lock.json'), 'utf8'));
  const entries = Object.entries(lock.packages as Record<string, { dev?: boolean }>);
  return new Set(entries.filter(([, { dev }]) => dev).map(([path]) => path.replace(/^node_modules\//, '')));
})();

const isRoot = process.getuid?.() === 0;

/** Runs a command as the image's user. Only root can; any other user is unprivileged already. */
function asUser(user: string): string[] {
  const [uid, gid] = user.split(':');
  return isRoot ? ['setpriv', `--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', '--no-new-privs'] : [];
}

/** Process 1 does not get the signals that it does not handle. Without the right to a PID namespace it runs as usual. */
function asProcessOne(): string[] {
  const unshare = ['unshare', '--pid', '--fork', '--kill-child'];
  const { status } = spawnSync(unshare[0] as string, [...unshare.slice(1), 'true']);
  return status === 0 ? unshare : [];
}

test('the build copies what it needs, and no tests', (t) => {
  const copied = dockerfile()
    .filter(({ name, text }) => name === 'COPY' && !text.startsWith('--from='))
    .flatMap(({ text }) => text.split(/\s+/).slice(0, -1));
  t.true(copied.includes('package-lock.json'));
  t.false(copied.some((path) => path === '.' || path.startsWith('test') || path.startsWith('helm')));
});

test('the image has no HEALTHCHECK, and a numeric user that is not root', (t) => {
  const names = dockerfile().map(({ name }) => name);
  t.false(names.includes('HEALTHCHECK'));
  t.regex(dockerfile().findLast(({ name }) => name === 'USER')?.text ?? '', /^[1-9]\d*:[1-9]\d*$/);
  t.is(names.at(-1), 'ENTRYPOINT');
});

test('the image says what it is, in which version', (t) => {
  const labels = dockerfile()
    .filter(({ name }) => name === 'LABEL')
    .map(({ text }) => text.replace(/^org\.opencontainers\.image\./, ''));
  const { version, description, license } = JSON.parse(
    readFileSync(join(repository, 'package.json'), 'utf8'),
  );
  for (const label of [`version="${version}"`, `description="${description}"`, `licenses="${license}"`]) {
    t.true(labels.includes(label), `${label}: ${labels.join(', ')}`);
  }
  const base = dockerfile().findLast(({ name }) => name === 'FROM')?.text;
  t.true(labels.includes(`base.name="docker.io/library/${base}"`));
});

test('the image has the newest Node that CI runs the tests on', (t) => {
  const [, majors = ''] = /^nodes='([\d ]+)'$/m.exec(readFileSync(join(repository, '.ci/run'), 'utf8')) ?? [];
  t.is(imageNode(), majors.split(' ').at(-1) ?? '');
});

test('the image runs the command with the flags of its first line', (t) => {
  const main = readFileSync(join(repository, 'services/cli/main.ts'), 'utf8');
  const [, shebang = ''] = /^#!\/usr\/bin\/env -S (.*)$/m.exec(main) ?? [];
  t.deepEqual(entrypoint(), [...shebang.split(' '), '/app/dist/services/cli/main.js']);
});

testWith(
  ['npm', 'apt-get', 'dpkg-deb', ...(isRoot ? ['setpriv'] : [])],
  'the Dockerfile builds an installation that runs as an unprivileged user',
  async (t) => {
    t.timeout(600_000);
    const directory = await mkdtemp(join(tmpdir(), 'holdfast-image-'));
    t.teardown(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }));
    await chmod(directory, 0o755); // for the other user
    const build = new ImageBuild(t, directory);
    await build.run();
    const app = join(build.root, 'app');

    t.deepEqual((await readdir(app)).sort(), [
      'dist',
      'node_modules',
      'package.json',
      'proto',
      'sbom.cdx.json',
    ]);
    const sbom = JSON.parse(readFileSync(join(app, 'sbom.cdx.json'), 'utf8'));
    const listed = (sbom.components as { name: string }[]).map(({ name }) => name);
    t.true(listed.includes('etcd3'));
    t.deepEqual(
      listed.filter((name) => developmentOnly.has(name)),
      [],
    );
    t.deepEqual((await readdir(join(app, 'dist'))).sort(), ['proto', 'relay-node', 'services']);
    t.deepEqual(await readdir(join(app, 'proto/generated')), ['descriptors.binpb']);
    const packages = await packagesIn(join(app, 'node_modules'));
    const version = await startProcess(t, 'node', ['--version'], { env: { PATH: build.path } });
    t.is((await version.success()).split('.')[0], `v${imageNode()}`);
    t.true(packages.includes('etcd3'));
    t.deepEqual(
      packages.filter((name) => developmentOnly.has(name)),
      [],
    );
    for (const file of ['usr/sbin/nft', 'bin/ip', 'app/dist/relay-node/media/prompts/music-on-hold.wav']) {
      await access(join(build.root, file));
    }
    const installed = join(build.root, 'usr/local/bin/holdfast');
    const holdfast = (...args: readonly string[]) =>
      startProcess(t, 'nice', [...asUser(build.user), installed, ...args], {
        cwd: '/',
        env: { HOME: '/nonexistent', PATH: build.path },
      });

    t.regex(await (await holdfast('--version')).success(), /^\d+\.\d+\.\d+$/m);
    // All parts of it, with real calls.
    t.regex(
      await (await holdfast('up', '--once', '--port', '0', '--etcd-port', '0')).success(110_000),
      /(\d+) of \1 lines held/,
    );
  },
);

test('as process 1 the program stops on SIGTERM without an init process', async (t) => {
  const [, ...words] = entrypoint();
  const here = words.map((word) => word.replace(/^\/app(?=\/)/, repository));
  const child = await startProcess(t, 'nice', [...asProcessOne(), process.execPath, ...here, 'selection'], {
    env: { HOLDFAST_GRPC_LISTEN: '127.0.0.1:0', HOLDFAST_ETCD: '127.0.0.1:1' },
  });
  await child.waitForLine('listening');
  t.deepEqual(await child.stop(15_000), { code: 0, signal: null });
  t.regex(child.output, /"signal":"SIGTERM"/);
});
