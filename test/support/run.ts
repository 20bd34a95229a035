import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Tally, tallyOf } from './tally.js';

/**
 * `npm test`: runs ava with the arguments given, or else all tests: first those that can run side by side, then the ones
 * that start whole systems, file by file, then those of the chart and the image. It stops after a part that fails, so
 * that the failures are near the end of the output. Then it lists by name what was skipped because a program that it
 * needs is not installed. The last line is `N passed, N failed`.
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

let passed = 0;
let failed = 0;
for (const args of runs) {
  const tally = await run(args);
  passed += tally.passed;
  failed += tally.failed;
  if (failed > 0) {
    process.exitCode = 1;
    break;
  }
}
listSkips();
rmSync(directory, { recursive: true, force: true });
process.stdout.write(`\n${passed} passed, ${failed} failed\n`);

async function run(args: readonly string[]): Promise<Tally> {
  // ava cannot see that its output goes to a terminal in the end.
  const color = process.stdout.isTTY ? ['--color'] : [];
  const child = spawn(process.execPath, [ava, ...color, ...args], {
    stdio: ['inherit', 'pipe', 'inherit'],
    env: { ...process.env, HOLDFAST_TEST_SKIPS: skips },
  });
  let report = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    report += text;
    process.stdout.write(text);
  });
  const forward = (signal: NodeJS.Signals) => child.kill(signal);
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, forward);
  }
  const [code] = await once(child, 'close');
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.off(signal, forward);
  }
  return tallyOf(report, code ?? 1);
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
