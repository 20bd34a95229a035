import { cp, mkdir, symlink, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { type Scope, startProcess } from '../support/process.js';
import { repository } from '../support/repository.js';
import { dockerfile, imageNode } from './dockerfile.js';

/** What .dockerignore excludes from the copied directories. */
const ignored = (path: string) => path === 'proto/generated';

/** The npm that comes with a Node, by major version: another one may judge the lockfile otherwise. */
const npmOfNode: Readonly<Record<string, number>> = { 20: 10, 22: 10, 24: 11 };

/**
 * Runs the Dockerfile's instructions in scratch directories, one for each stage, with the image's version of Node and
 * without a container engine. Commands run in the working directory and can name only what is below it.
 */
export class ImageBuild {
  readonly #stages: { readonly name: string; readonly root: string }[] = [];
  readonly #env: Record<string, string> = {};
  #workdir = '/';
  user = '';

  constructor(
    readonly scope: Scope,
    readonly directory: string,
  ) {}

  /** The root of the image. */
  get root(): string {
    return this.#stages.at(-1)?.root ?? '';
  }

  /** The search path of its commands, with the image's Node and npm first. */
  get path(): string {
    return [join(this.directory, 'commands'), process.env['PATH']].join(delimiter);
  }

  async run(): Promise<void> {
    await this.#installNode();
    for (const { name, text } of dockerfile()) {
      await this.#carryOut(name, text);
    }
  }

  /** From npm, where each platform's Node is a package. */
  async #installNode(): Promise<void> {
    const major = imageNode();
    const npm = npmOfNode[major];
    if (npm === undefined) {
      throw new Error(`which npm comes with Node ${major}?`);
    }
    const commands = join(this.directory, 'commands');
    await mkdir(commands);
    await writeFile(join(commands, 'npm'), `#!/bin/sh\nexec npx --yes npm@${npm} "$@"\n`, { mode: 0o755 });
    const name = `node-linux-${process.arch}`;
    const prefix = join(this.directory, 'node');
    const child = await startProcess(
      this.scope,
      'npm',
      ['install', '--no-save', '--prefer-offline', '--prefix', prefix, `${name}@${major}`],
      { cwd: this.directory },
    );
    await child.success(300_000);
    await symlink(join(prefix, 'node_modules', name, 'bin/node'), join(commands, 'node'));
  }

  async #carryOut(name: string, text: string): Promise<void> {
    switch (name) {
      case 'FROM': {
        const stage = /\bAS (\w+)$/.exec(text)?.[1] ?? `stage${this.#stages.length}`;
        this.#stages.push({ name: stage, root: join(this.directory, stage) });
        this.#workdir = '/';
        return;
      }
      case 'WORKDIR':
        this.#workdir = text;
        await mkdir(join(this.root, text), { recursive: true });
        return;
      case 'ENV': {
        const [key = '', value = ''] = text.split('=');
        this.#env[key] = value;
        return;
      }
      case 'COPY':
        return this.#copy(text.split(/\s+/));
      case 'RUN':
        return this.#command(text);
      case 'USER':
        this.user = text;
        return;
      case 'LABEL':
      case 'ENTRYPOINT':
        return;
      default:
        throw new Error(`the test does not know the Dockerfile's instruction ${name}`);
    }
  }

  async #copy(words: readonly string[]): Promise<void> {
    const from = /^--from=(.*)$/.exec(words[0] ?? '')?.[1];
    const source = this.#stages.find(({ name }) => name === from)?.root ?? repository;
    const paths = words.slice(from === undefined ? 0 : 1, -1);
    const to = words.at(-1) ?? '';
    for (const path of paths) {
      // Node is in the search path.
      if (path === '/usr/local/bin/node') {
        continue;
      }
      const target = join(this.root, to.startsWith('/') ? '' : this.#workdir, to);
      await mkdir(dirname(target), { recursive: true });
      await cp(join(source, path), to.endsWith('/') ? join(target, path.split('/').at(-1) ?? '') : target, {
        recursive: true,
        verbatimSymlinks: true,
        filter: (file) => from !== undefined || !ignored(file.slice(source.length + 1)),
      });
    }
  }

  /** Packages of Debian, without what they depend on, which is that of this machine. */
  async #unpack(packages: readonly string[]): Promise<void> {
    const directory = join(this.directory, 'packages');
    await mkdir(directory, { recursive: true });
    const unpack = 'apt-get download -qq "$@" && for each in ./*.deb; do dpkg-deb -x "$each" "$0"; done';
    const child = await startProcess(this.scope, 'nice', ['sh', '-ec', unpack, this.root, ...packages], {
      cwd: directory,
    });
    await child.success(300_000);
  }

  async #command(text: string): Promise<void> {
    const link = /^ln -s (\/\S+) (\/\S+)$/.exec(text);
    if (link) {
      const [, target = '', path = ''] = link;
      await mkdir(dirname(join(this.root, path)), { recursive: true });
      return symlink(join(this.root, target), join(this.root, path));
    }
    const [, packages] =
      /^apt-get update && apt-get install -y --no-install-recommends ([\w -]+) && rm /.exec(text) ?? [];
    if (packages !== undefined) {
      return this.#unpack(packages.split(' '));
    }
    const child = await startProcess(this.scope, 'nice', ['sh', '-ec', text], {
      cwd: join(this.root, this.#workdir),
      // npm's cache has the packages from `npm ci`, most likely.
      env: { npm_config_prefer_offline: 'true', PATH: this.path, ...this.#env },
    });
    await child.success(300_000);
  }
}
