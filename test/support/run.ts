import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * `npm test`: runs ava with the arguments given, or else all tests: first those that may run side by side, then the ones
 * that set whole systems in motion, file by file, then those of the chart and the image. A part that fails is the last:
 * what failed stands at the end of what is printed. Then it lists by name what was skipped because a program that it
 * needs is not installed.
 */
const ava = fileURLToPath(new URL('./cli.mjs', import.meta.resolve('ava')));
const directory = mkdtempSync(join(tmpdir(), 'holdfast-test-'));
const skips = join(directory, 'skips.jsonl');
const given = process.argv.slice(2);
const runs =
  given.length > 0
    ? [given]
    : [
        ['dist/test/{unit,model,integration,package,fuzz}/**/*.test.js'],
        ['--concurrency=1', 'dist/test/e2e/**/*.test.js'],
        ['dist/test/chart/**/*.test.js'],
      ];

for (const args of runs) {
  process.exitCode = await run(args);
  if (process.exitCode !== 0) {
    break;
  }
}
listSkips();
rmSync(directory, { recursive: true, force: true });

/** @returns ava's exit code */
async function run(args: readonly string[]): Promise<number> {
  const child = spawn(process.execPath, [ava, ...args], {
    stdio: 'inherit',
    env: { ...process.env, HOLDFAST_TEST_SKIPS: skips },
  });
  const forward = (signal: NodeJS.Signals) => child.kill(signal);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, forward);
  }
  const [code] = await once(child, 'exit');
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.off(signal, forward);
  }
  return code ?? 1;
}

function listSkips(): void {
  if (!existsSync(skips)) {
    return;
  }
  const lines = readFileSync(skips, 'utf8').trim().split('\n');
  const all = lines.map((line) => JSON.parse(line) as { title: string; file: string; missing: string[] });
  const programs = [...new Set(all.flatMap(({ missing }) => missing))].sort();
  process.stdout.write(`\n  ${all.length} tests skipped: not installed: ${programs.join(', ')}\n`);
  for (const { title, file, missing } of all) {
    process.stdout.write(`    ${basename(file, '.test.js')} › ${title} (needs ${missing.join(', ')})\n`);
  }
}
