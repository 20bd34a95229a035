import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { build } from './build.js';
import { spawnInCluster, startCluster, stopCluster } from './cluster.js';
import { logs } from './paths.js';

const usage = `usage: npm run cluster -- build | up [--nodes N] | test [FILE…] | run COMMAND… | down | ci [--minutes M] [FILE…]

  build   programs and images, as far as they are not in the cache
  up      builds, and starts a cluster of N nodes (3)
  test    the chart on that cluster; the last line is "N passed, N failed"
  run     a program beside the control plane, such as kubectl, helm or bash
  down    ends it, and takes everything away but the cache
  ci      all of it, within M minutes (60); nothing is left, also after a failure
`;

const runner = fileURLToPath(new URL('../support/run.js', import.meta.url));
const scenarios = 'dist/test/cluster/scenarios/*.test.js';

async function runInCluster(command: readonly string[]): Promise<number> {
  const child = await spawnInCluster(command);
  const [code] = await once(child, 'close');
  return code ?? 1;
}

const test = (files: readonly string[]) =>
  runInCluster([
    process.execPath,
    runner,
    '--concurrency=1',
    '--timeout=15m',
    ...(files.length > 0 ? files : [scenarios]),
  ]);

async function ci(minutes: number, files: readonly string[]): Promise<number> {
  const end = (reason: string) => {
    process.stderr.write(`${reason}\n`);
    void stopCluster().finally(() => process.exit(1));
  };
  setTimeout(end, minutes * 60_000, `not done within ${minutes} min`).unref();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, end);
  }
  await stopCluster();
  await build();
  try {
    await startCluster(3);
    return await test(files);
  } finally {
    await stopCluster();
  }
}

async function main(): Promise<number> {
  const [task, ...rest] = process.argv.slice(2);
  const options = {
    nodes: { type: 'string', default: '3' },
    minutes: { type: 'string', default: '60' },
  } as const;
  switch (task) {
    case 'build':
      await build();
      return 0;
    case 'up': {
      const nodes = Number(parseArgs({ args: rest, options }).values.nodes);
      if (!Number.isInteger(nodes) || nodes < 1 || nodes > 9) {
        throw new Error(`--nodes ${nodes}: 1 to 9 is allowed`);
      }
      await build();
      await startCluster(nodes);
      process.stdout.write(`${nodes} nodes are ready; logs in ${logs}\n`);
      return 0;
    }
    case 'test':
      return test(rest);
    case 'run':
      return runInCluster(rest);
    case 'down':
      await stopCluster();
      return 0;
    case 'ci': {
      const { values, positionals } = parseArgs({ args: rest, options, allowPositionals: true });
      return ci(Number(values.minutes), positionals);
    }
    default:
      process.stderr.write(usage);
      return 2;
  }
}

main().then(
  (code) => process.exit(code),
  (error) => {
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  },
);
