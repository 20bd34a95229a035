import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import test from 'ava';
import { freeTcpPorts, freeUdpBlock } from '../../support/ports.js';
import { startProcess } from '../../support/process.js';
import { testWith } from '../../support/requirement.js';

/** Also when nobody has collected its exit status yet, as in a container without an init process. */
function gone(pid: number): boolean {
  try {
    return / Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return true;
  }
}

const processModule = new URL('../../support/process.js', import.meta.url).href;

test('ports are distinct; a block of UDP ports begins with an even one', async (t) => {
  t.is(new Set(await freeTcpPorts(20)).size, 20);
  t.is((await freeUdpBlock(8)) % 2, 0);
});

test('a process is awaited by its output, and its output is in the failure', async (t) => {
  const child = await startProcess(t, '/bin/sh', ['-c', 'echo one; echo two >&2; exec sleep 60']);
  t.is(await child.waitForLine(/^t/), 'two');
  await t.throwsAsync(child.waitForLine('three', 50), {
    message: /no a line with three within 50 ms[\s\S]*one/,
  });
  t.like(await child.stop(), { signal: 'SIGTERM' });
  const failing = await startProcess(t, '/bin/sh', ['-c', 'echo reason; exit 3']);
  await t.throwsAsync(failing.waitForLine('never'), { message: /ended \(code 3\)[\s\S]*reason/ });
  await t.throwsAsync(startProcess(t, '/does/not/exist', []), { message: /cannot start/ });
});

testWith(
  ['/proc/self/stat'],
  'children and grandchildren die even when the test process is killed',
  async (t) => {
    const script = `
    import { startProcess } from ${JSON.stringify(processModule)};
    const child = await startProcess({ teardown() {} }, '/bin/sh', ['-c', 'sleep 600 & echo $!; wait']);
    console.log(child.pid, await child.waitForLine(/./));
  `;
    const parent = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.teardown(() => void parent.kill('SIGKILL'));
    const [line] = (await once(createInterface(parent.stdout), 'line')) as [string];
    const pids = line.split(' ').map(Number);
    t.false(pids.some(gone));
    parent.kill('SIGKILL');
    const deadlineMs = performance.now() + 5000;
    while (!pids.every(gone) && performance.now() < deadlineMs) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    t.true(pids.every(gone));
  },
);
