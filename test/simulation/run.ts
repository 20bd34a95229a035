import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { markdownTable } from '../support/markdown.js';
import { type Bug, bugs } from './bugs/bugs.js';
import { bugVariable } from './bugs/plant.js';
import { type FaultName, faultNames } from './faults/grammar.js';
import { failure } from './print.js';
import { type Result, simulate } from './simulation.js';

const usage = `usage: npm run simulate [-- [--seed S | --seeds N | --minutes M] [--first S] [--failed] [--faults LIST] [--stranger] [--overlap]
                            [--bug NAME | --bugs]]

  --seed S        runs this seed, and prints what its processes log
  --seeds N       runs so many seeds (100)
  --minutes M     runs seeds for so long, of CPU
  --first S       the first of them (random, printed)
  --failed        runs the seeds that have failed before, first
  --faults LIST   only these kinds of faults, separated by commas: ${faultNames.join(', ')}
  --stranger      clients have an endpoint of another cluster in their lists
  --overlap       other faults may come while etcd is wiped or restored
  --bug NAME      with this fix taken back; the exit code is 0 if a seed finds it
  --bugs          the same with each fix in turn:
${bugs.map(({ name, title }) => `                    ${name.padEnd(24)} ${title}`).join('\n')}
`;

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string' },
    minutes: { type: 'string' },
    first: { type: 'string' },
    failed: { type: 'boolean', default: false },
    faults: { type: 'string' },
    stranger: { type: 'boolean', default: false },
    overlap: { type: 'boolean', default: false },
    bug: { type: 'string' },
    bugs: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});

const seedCount = Number(values.seeds ?? (values.minutes === undefined ? 100 : Number.POSITIVE_INFINITY));
const limitMs = Number(values.minutes ?? Number.POSITIVE_INFINITY) * 60_000;
const first = Number(values.seed ?? values.first ?? Math.floor(Math.random() * 2 ** 31));
const kinds = values.faults?.split(',') as FaultName[] | undefined;
process.exitCode = await main();

async function main(): Promise<number> {
  if (values.help) {
    say(usage);
    return 0;
  }
  const isUnknown =
    (kinds ?? []).some((kind) => !faultNames.includes(kind)) ||
    (values.bug !== undefined && !bugs.some(({ name }) => name === values.bug));
  if (isUnknown || !Number.isSafeInteger(first) || !(seedCount > 0) || !(limitMs > 0)) {
    process.stderr.write(usage);
    return 2;
  }
  if (values.bugs || (values.bug !== undefined && process.env[bugVariable] === undefined)) {
    return huntAll(bugs.filter(({ name }) => values.bugs || name === values.bug));
  }
  return values.seed === undefined ? runMany() : runOne();
}

async function runOne(): Promise<number> {
  const result = await simulate({
    seed: first,
    kinds,
    hasStranger: values.stranger,
    overlaps: values.overlap,
    onLog: ({ atMs, process: name, level, text }) => say(`${seconds(atMs)} ${name} ${level}: ${text}\n`),
  });
  say(`${failure(result)}\nhash ${result.hash}\n`);
  return result.violations.length === 0 ? 0 : 1;
}

async function runMany(): Promise<number> {
  const failed: number[] = [];
  let simulatedMs = 0;
  let done = 0;
  const run = async (seed: number): Promise<Result> => {
    const result = await simulate({ seed, kinds, hasStranger: values.stranger, overlaps: values.overlap });
    done++;
    simulatedMs += result.simulatedMs;
    if (result.violations.length > 0) {
      failed.push(seed);
      say(`${failure(result)}\nagain: npm run simulate -- --seed ${seed}\n\n`);
    }
    return result;
  };
  // gRPC takes the stack of each call, which costs a tenth of the time. A seed that is replayed has them.
  Error.stackTraceLimit = 0;
  if (values.failed) {
    for (const seed of failedSeeds()) {
      await run(seed);
    }
  }
  say(`seeds from ${first}\n`);
  const isBug = process.env[bugVariable] !== undefined;
  for (let seed = first; seed < first + seedCount && usedMs() < limitMs; seed++) {
    await run(seed);
    if (isBug && failed.length > 0) {
      break;
    }
  }
  const cpuMs = usedMs();
  say(
    `${done} seeds, ${failed.length} failed; ${Math.round(simulatedMs / 1000)} s simulated in ${Math.round(cpuMs / 1000)} s of CPU: ${Math.round(simulatedMs / cpuMs)} times real time\n`,
  );
  return failed.length === 0 ? 0 : 1;
}

/** CPU time of this process so far: how many seeds it buys does not depend on what else is going on. */
function usedMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** All that ever failed, wherever it was found. */
function failedSeeds(): number[] {
  const file = new URL('../../../test/simulation/failed-seeds.json', import.meta.url);
  return JSON.parse(readFileSync(file, 'utf8')) as number[];
}

/** Each bug in a process of its own, for as many seeds as it takes. */
async function huntAll(hunted: readonly Bug[]): Promise<number> {
  const lines: string[][] = [];
  for (const { name, title, kinds: exposing } of hunted) {
    const child = spawn(
      process.execPath,
      [
        ...['--import', fileURLToPath(new URL('bugs/plant.js', import.meta.url))],
        fileURLToPath(import.meta.url),
        ...['--bug', name, '--first', String(values.first ?? 1), '--seeds', String(values.seeds ?? 100)],
        ...['--faults', exposing.join(',')],
      ],
      { env: { ...process.env, [bugVariable]: name }, stdio: ['ignore', 'pipe', 'inherit'] },
    );
    let output = '';
    child.stdout.on('data', (text) => {
      output += text;
    });
    const [code] = await once(child, 'exit');
    const [, checked = ''] = /^ +[\d.]+ ([a-z ]+): /m.exec(output) ?? [];
    const [, seeds] = /^(\d+) seeds/m.exec(output) ?? [];
    if (seeds === undefined) {
      throw new Error(`${name}: the process that has it ended with ${code} before it had run its seeds`);
    }
    say(`${name}: ${code === 1 ? `found after ${seeds} seeds, by "${checked}"` : 'NOT FOUND'}\n`);
    lines.push([name, title, code === 1 ? checked : 'nothing', code === 1 ? seeds : `not in ${seeds}`]);
  }
  say(`\n${markdownTable(['fix taken back', 'what is wrong then', 'found by', 'seeds'], lines)}\n`);
  return lines.every(([, , by]) => by !== 'nothing') ? 0 : 1;
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(3).padStart(8);
}

function say(text: string): void {
  process.stdout.write(text);
}
