import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { startProcess } from '../../support/process.js';
import { repository } from '../../support/repository.js';
import { testWith } from '../../support/requirement.js';

/** Process 1 of a container, to which the kernel sends no signal that it does not handle. */

const programs = ['network namespaces', 'unshare'] as const;
const module = join(repository, 'dist/services/runtime/first-process.js');

testWith(programs, 'a signal ends process 1 before anything else handles it', async (t) => {
  const waits = 'console.log("waits"); setInterval(() => {}, 1000)';
  const node = [process.execPath, '--import', module, '--eval', waits];
  const parent = await startProcess(t, 'unshare', ['--pid', '--fork', '--kill-child', ...node]);
  await parent.waitForLine('waits');
  const children = await readFile(`/proc/${parent.pid}/task/${parent.pid}/children`, 'utf8');
  process.kill(Number(children), 'SIGTERM');
  t.deepEqual(await parent.exited, { code: 143, signal: null });
});

test('the program imports that before all that takes time to load', async (t) => {
  const source = await readFile(join(repository, 'services/cli/main.ts'), 'utf8');
  const [first = ''] = source.match(/^import .*$/m) ?? [];
  t.is(first, "import '../runtime/first-process.js';");
});
