import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { repository } from '../support/repository.js';

export interface Instruction {
  readonly name: string;
  readonly text: string;
}

/** The instructions of the repository's Dockerfile, in order. */
export function dockerfile(): Instruction[] {
  return readFileSync(join(repository, 'Dockerfile'), 'utf8')
    .replaceAll('\\\n', ' ')
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.startsWith('#'))
    .map((line) => {
      const [, name = '', text = ''] = /^(\w+)\s+(.*)$/.exec(line) ?? [];
      return { name, text: text.trim() };
    });
}

/** The major version of Node that the image is built from. */
export function imageNode(): string {
  const [, major] = /^node:(\d+)-/.exec(dockerfile().find(({ name }) => name === 'FROM')?.text ?? '') ?? [];
  if (major === undefined) {
    throw new Error('the Dockerfile does not start from an image of Node with a major version');
  }
  return major;
}

/** What the image runs, before the arguments. */
export function entrypoint(): string[] {
  const text = dockerfile().findLast(({ name }) => name === 'ENTRYPOINT')?.text;
  if (text === undefined) {
    throw new Error('the Dockerfile has no ENTRYPOINT');
  }
  return JSON.parse(text) as string[];
}
