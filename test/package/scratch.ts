import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Scope } from '../support/process.js';

/** An empty directory outside the repository. */
export async function scratchDirectory(scope: Scope): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-package-'));
  scope.teardown(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }));
  return directory;
}
