import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { missingPrograms } from '../support/program.js';
import { repository } from '../support/repository.js';
import { bin, cache, chartTools, images } from './paths.js';

const sources = join(repository, 'test/cluster/build');
/** What has to be installed, and the Debian packages that have it. */
const programs = {
  containerd: 'containerd',
  runc: 'runc',
  '/usr/lib/cni/ptp': 'containernetworking-plugins',
  buildah: 'buildah',
  debootstrap: 'debootstrap',
  iptables: 'iptables',
  ip: 'iproute2',
  openssl: 'openssl',
  go: 'golang-go',
} as const;

/** @throws Error that names the packages which are missing */
function requirePrograms(): void {
  const missing = missingPrograms(Object.keys(programs)) as (keyof typeof programs)[];
  if (missing.length > 0) {
    throw new Error(`not installed: apt-get install ${missing.map((name) => programs[name]).join(' ')}`);
  }
  if (process.getuid?.() !== 0) {
    throw new Error('only root can make namespaces and cgroups');
  }
}

/** Builds what is not there yet, or was made from something else; the product's image each time. */
export async function build(): Promise<void> {
  requirePrograms();
  await mkdir(images, { recursive: true });
  if (!existsSync(join(chartTools, 'etcd-3.6'))) {
    await run(join(repository, '.ci/go-programs'), chartTools);
  }
  const recipe = ['go.mod', 'go.sum', 'programs.sh', ...(await goFiles())];
  await unlessDone('programs', recipe, () => run(join(sources, 'programs.sh'), bin));
  const node = await nodeOfImage();
  const image = (name: string) => run(join(sources, 'images.sh'), cache, chartTools, node, name);
  await unlessDone('base', ['images.sh', '../../../Dockerfile'], () => image('base'));
  await unlessDone('pause', ['images.sh', 'pause/main.go'], () => image('pause'));
  await unlessDone('etcd', ['images.sh', '../../../helm/holdfast/values.yaml'], () => image('etcd'));
  await image('holdfast');
}

/** The Node that the Dockerfile names, as `.ci/run` installs it. @throws Error that says how to get it */
async function nodeOfImage(): Promise<string> {
  const dockerfile = await readFile(join(repository, 'Dockerfile'), 'utf8');
  const major = /^FROM node:(\d+)/m.exec(dockerfile)?.[1];
  const prefix = join(cache, '..', `node-${major}`);
  const node = join(prefix, 'node_modules/.bin/node');
  if (!existsSync(node)) {
    throw new Error(
      `no ${node}: npm install --no-save --prefix ${prefix} node-linux-${process.arch}@${major}`,
    );
  }
  return node;
}

async function goFiles(): Promise<string[]> {
  const files = await readdir(sources, { recursive: true });
  return files.filter((file) => file.endsWith('.go')).sort();
}

/** Does something unless it was done with these files before. The stamp is written last: what was broken off begins again. */
async function unlessDone(name: string, files: readonly string[], task: () => Promise<void>): Promise<void> {
  const hash = createHash('sha256');
  for (const file of files) {
    hash.update(file).update(await readFile(join(sources, file)));
  }
  const digest = hash.digest('hex');
  const stamp = join(cache, `${name}.stamp`);
  if (existsSync(stamp) && (await readFile(stamp, 'utf8')) === digest) {
    return;
  }
  await task();
  await writeFile(stamp, digest);
}

async function run(program: string, ...args: readonly string[]): Promise<void> {
  const child = spawn(program, args, { stdio: 'inherit' });
  const [code] = await once(child, 'close');
  if (code !== 0) {
    throw new Error(`${program} ${args.join(' ')} failed (code ${code})`);
  }
}
