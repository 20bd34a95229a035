import { cp, mkdir, symlink, writeFile } from 'node:fs/promises';
import { delimiter, dirname, join } from 'node:path';
import { type Scope, startProcess } from '../support/process.js';
import { repository } from '../support/repository.js';
import { dockerfile } from './dockerfile.js';

/** What .dockerignore keeps out of the folders that are copied. */
const ignored = (path: string) => path === 'proto/generated';

/**
 * Carries out the Dockerfile's instructions in scratch directories, one for each stage, with this machine's Node and
 * without a container engine. Commands run in the working directory and may name only what lies below it.
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

  async run(): Promise<void> {
    this.#env['PATH'] = [await imageNpm(this.directory), process.env['PATH']].join(delimiter);
    for (const { name, text } of dockerfile()) {
      await this.#carryOut(name, text);
    }
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
      case 'ENTRYPOINT':
        return;
      default:
        throw new Error(`the Dockerfile has become too clever for this test: ${name}`);
    }
  }

  async #copy(words: readonly string[]): Promise<void> {
    const from = /^--from=(.*)$/.exec(words[0] ?? '')?.[1];
    const source = this.#stages.find(({ name }) => name === from)?.root ?? repository;
    const paths = words.slice(from === undefined ? 0 : 1, -1);
    const to = words.at(-1) ?? '';
    for (const path of paths) {
      // Node is this machine's own.
      if (path === process.execPath || path === '/usr/local/bin/node') {
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

  async #command(text: string): Promise<void> {
    const link = /^ln -s (\/\S+) (\/\S+)$/.exec(text);
    if (link) {
      const [, target = '', path = ''] = link;
      await mkdir(dirname(join(this.root, path)), { recursive: true });
      return symlink(join(this.root, target), join(this.root, path));
    }
    const child = await startProcess(this.scope, 'nice', ['sh', '-ec', text], {
      cwd: join(this.root, this.#workdir),
      // The packages of `npm ci` are here already, most likely.
      env: { npm_config_prefer_offline: 'true', ...this.#env },
    });
    await child.success(300_000);
  }
}

/** A directory with the npm that comes with the image's Node: another one may judge the lockfile otherwise. */
async function imageNpm(directory: string): Promise<string> {
  const commands = join(directory, 'commands');
  await mkdir(commands);
  await writeFile(join(commands, 'npm'), '#!/bin/sh\nexec npx --yes npm@10 "$@"\n', { mode: 0o755 });
  return commands;
}
