import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import type { Revert } from './bugs.js';

let reverts: readonly Revert[] = [];

/** Called by Node in the thread that loads modules (`module.register`). */
export function initialize(data: readonly Revert[]): void {
  reverts = data;
}

interface Loaded {
  readonly format: string;
  readonly source?: string;
  readonly shortCircuit?: boolean;
}

/** Takes fixes back in the text of the modules that have them. @throws Error if one is not there any more */
export async function load(
  url: string,
  context: object,
  next: (url: string, context: object) => Promise<Loaded>,
): Promise<Loaded> {
  const here = reverts.filter(({ file }) => url.endsWith(`/dist/${file}`));
  if (here.length === 0) {
    return next(url, context);
  }
  let source = await readFile(fileURLToPath(url), 'utf8');
  for (const { file, fixed, broken } of here) {
    if (source.split(fixed).length !== 2) {
      throw new Error(`${file} does not have, exactly once: ${fixed}`);
    }
    source = source.replace(fixed, () => broken);
  }
  return { format: 'module', source, shortCircuit: true };
}
