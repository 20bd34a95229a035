import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * `npm test`: runs ava with the arguments given, then lists by name what was skipped because a program that it needs
 * is not installed.
 */
const ava = fileURLToPath(new URL('./cli.mjs', import.meta.resolve('ava')));
const directory = mkdtempSync(join(tmpdir(), 'holdfast-test-'));
const skips = join(directory, 'skips.jsonl');

const child = spawn(process.execPath, [ava, ...process.argv.slice(2)], {
  stdio: 'inherit',
  env: { ...process.env, HOLDFAST_TEST_SKIPS: skips },
});
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
child.on('exit', (code) => {
  listSkips();
  rmSync(directory, { recursive: true, force: true });
  process.exitCode = code ?? 1;
});

function listSkips(): void {
  if (!existsSync(skips)) return;
  const lines = readFileSync(skips, 'utf8').trim().split('\n');
  const all = lines.map((line) => JSON.parse(line) as { title: string; file: string; missing: string[] });
  const programs = [...new Set(all.flatMap(({ missing }) => missing))].sort();
  process.stdout.write(`\n  ${all.length} tests skipped: not installed: ${programs.join(', ')}\n`);
  for (const { title, file, missing } of all)
    process.stdout.write(`    ${basename(file, '.test.js')} › ${title} (needs ${missing.join(', ')})\n`);
}
