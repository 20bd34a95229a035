import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { findProgram } from '../support/program.js';
import { shortestFailure } from './check/print.js';
import { OwnScope } from './own-scope.js';
import { everyFault } from './plan/schedule.js';
import { Session } from './session.js';
import { summary } from './summary.js';

const usage = `usage: npm run chaos [-- [--minutes M] [--seed S] [--rate R] [--directory D]]

  --minutes M     how long faults go on (3)
  --seed S        draws the faults; the same seed draws the same (a new one, printed)
  --rate R        operations per second (80)
  --directory D   where the history and all logs go (a temporary directory, kept after a violation)
`;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '3' },
    seed: { type: 'string' },
    rate: { type: 'string', default: '80' },
    directory: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

process.exit(values.help ? say(usage) : await main());

async function main(): Promise<number> {
  if (!findProgram('etcd')) {
    process.stderr.write('etcd is not installed\n');
    return 2;
  }
  const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
  const durationMs = Number(values.minutes) * 60_000;
  const perSecond = Number(values.rate);
  if (![seed, durationMs, perSecond].every((number) => Number.isFinite(number) && number >= 0)) {
    process.stderr.write(usage);
    return 2;
  }
  const directory = values.directory ?? mkdtempSync(join(tmpdir(), 'holdfast-chaos-'));
  mkdirSync(directory, { recursive: true });
  say(`seed ${seed}, records in ${directory}\n`);
  const scope = new OwnScope();
  const startedAtMs = performance.now();
  const session = new Session(scope, {
    seed,
    durationMs,
    perSecond,
    directory,
    mix: everyFault,
    say: (text) => say(`${((performance.now() - startedAtMs) / 1_000).toFixed(1).padStart(7)} s  ${text}\n`),
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => void scope.close().finally(() => process.exit(130)));
  try {
    const result = await session.run();
    say(`\n${summary(result)}\n`);
    if (result.verdict.violations.length === 0) {
      if (values.directory === undefined) rmSync(directory, { recursive: true, force: true });
      return 0;
    }
    say(`\n${shortestFailure(result.verdict)}\n\nrecords: ${directory}\n`);
    return 1;
  } finally {
    await scope.close();
  }
}

function say(text: string): number {
  process.stdout.write(text);
  return 0;
}
