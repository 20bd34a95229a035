import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { startProcess } from '../../support/process.js';

/**
 * The reader of a log must not be able to hold its process up. The process writes a line, a burst of `burst` KiB, and
 * lines at leisure after that; then it ends with code 3, which the shell prints.
 */
const program = (burst: number) => `
  import { setTimeout } from 'node:timers/promises';
  import { openLog } from ${JSON.stringify(fileURLToPath(new URL('../../../services/runtime/log.js', import.meta.url)))};
  const { log, close } = openLog('test', 'info');
  log.info('first');
  await setTimeout(300);
  for (let i = 0; i < ${burst}; i++) log.info({ filling: 'x'.repeat(1_000) });
  for (let i = 0; i < 20; i++) { await setTimeout(10); log.info('at leisure'); }
  log.info('last');
  await close();
  process.exit(3);
`;

async function output(t: ExecutionContext, reader: string, burst: number, redirection = ''): Promise<string> {
  const child = await startProcess(t, '/bin/sh', [
    '-c',
    `{ "$0" --input-type=module -e "$1" ${redirection}; echo "exit $?" >&2; } | ${reader}`,
    process.execPath,
    program(burst),
  ]);
  // A reader that reads nothing is still there when the process is gone.
  if (reader.includes('sleep')) {
    await child.waitForLine(/^exit \d+$/, 60_000);
  } else {
    await child.success(60_000);
  }
  return child.output;
}

test('a reader that is gone does not keep a process from ending', async (t) => {
  const text = await output(t, 'head -n 1', 100);
  t.regex(text, /"msg":"first"/);
  t.regex(text, /^exit 3$/m);
});

test('a reader that reads nothing does not keep a process from ending', async (t) => {
  // A pipe takes 64 KiB, what waits for it here 8 MiB.
  for (const burst of [100, 20_000]) {
    t.regex(await output(t, '{ head -n 1; exec sleep 60; }', burst), /^exit 3$/m);
  }
});

test('a full disk does not keep a process from running and ending', async (t) => {
  t.regex(await output(t, 'cat', 100, '> /dev/full'), /^exit 3$/m);
});

test('a reader that reads gets the log to its last line', async (t) => {
  const text = await output(t, 'tail -n 1', 1000);
  t.regex(text, /"msg":"last"/);
  t.regex(text, /^exit 3$/m);
});

test('lines beyond the buffer are counted', async (t) => {
  const text = await output(t, 'grep --line-buffered -v filling', 20_000);
  t.regex(text, /"lines":\d{4,},"msg":"lines of this log were lost: its reader was too slow"/);
  t.regex(text, /"msg":"last"/);
});
