import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { messageOf } from '../../services/domain/error.js';
import { OwnScope } from '../support/own-scope.js';
import { missingPrograms } from '../support/program.js';
import { bugs } from './bugs/bugs.js';
import { check } from './check/check.js';
import { failures, shortestFailure } from './check/print.js';
import { type Catch, catchTable, hunt } from './hunt.js';
import { everyFault, type FaultMix, usualFaults } from './plan/schedule.js';
import { readRecords } from './record/read-records.js';
import { Session } from './session.js';
import { summary } from './summary.js';

const usage = `usage: npm run chaos [-- [--minutes M] [--seed S] [--rate R] [--faults LIST] [--directory D] [--bug NAME | --bugs | --check D]]

  --minutes M     how long faults are injected (3; for each bug at most 5)
  --seed S        seed of the faults; the same seed draws the same faults (random, printed)
  --rate R        operations per second (80)
  --faults LIST   only these kinds of faults, separated by commas; usual: all but those that take history or time from
                  under a process
  --directory D   for the history and all logs (a temporary directory, kept after a violation)
  --check D       checks the records of an earlier run again, and prints every failing call
  --bug NAME      replicas have this bug; the exit code is 0 if the checker catches it
  --bugs          the same with each bug in turn:
${bugs.map(({ name, title }) => `                  ${name.padEnd(24)} ${title}`).join('\n')}
`;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string' },
    seed: { type: 'string' },
    rate: { type: 'string', default: '80' },
    faults: { type: 'string' },
    directory: { type: 'string' },
    check: { type: 'string' },
    bug: { type: 'string' },
    bugs: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 31));
/** Some bugs need a coincidence of several events. */
const hunts = values.bugs || values.bug !== undefined;
const durationMs = Number(values.minutes ?? (hunts ? 5 : 3)) * 60_000;
const perSecond = Number(values.rate);
const mix = mixOf(values.faults);
const startedAtMs = performance.now();
/** Owns what is running, for a signal to end it. */
let scope = new OwnScope();

process.exit(await main());

async function main(): Promise<number> {
  if (values.help) {
    return say(usage);
  }
  const isUnknown =
    (values.bug !== undefined && !bugs.some(({ name }) => name === values.bug)) ||
    Object.keys(mix).some((kind) => !(kind in everyFault));
  if (isUnknown || ![seed, durationMs, perSecond].every((number) => Number.isFinite(number) && number >= 0)) {
    process.stderr.write(usage);
    return 2;
  }
  if (values.check !== undefined) {
    return checkAgain(values.check);
  }
  const missing = missingPrograms(['etcd', 'etcdctl']);
  if (missing.length > 0) {
    process.stderr.write(`not installed: ${missing.join(', ')}\n`);
    return 2;
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void scope.close().finally(() => process.exit(130)));
  }
  return hunts ? huntAll() : runOnce();
}

function mixOf(faults: string | undefined): FaultMix {
  if (faults === undefined || faults === 'usual') {
    return faults ? usualFaults : everyFault;
  }
  return Object.fromEntries(faults.split(',').map((kind) => [kind, 1]));
}

async function runOnce(): Promise<number> {
  const directory = values.directory ?? mkdtempSync(join(tmpdir(), 'holdfast-chaos-'));
  mkdirSync(directory, { recursive: true });
  say(`seed ${seed}, records in ${directory}\n`);
  const result = await new Session(scope, { seed, durationMs, perSecond, directory, mix, say: tell })
    .run()
    .finally(() => scope.close());
  say(`\n${summary(result)}\n`);
  if (result.verdict.violations.length > 0) {
    say(`\n${shortestFailure(result.verdict)}\n\nrecords: ${directory}\n`);
    return 1;
  }
  if (values.directory === undefined) {
    rmSync(directory, { recursive: true, force: true });
  }
  return 0;
}

async function checkAgain(directory: string): Promise<number> {
  const { history, log } = await readRecords(directory);
  const verdict = check(history, log);
  say(`${[...failures(verdict), `${verdict.violations.length} violations`].join('\n\n')}\n`);
  return verdict.violations.length > 0 ? 1 : 0;
}

async function huntAll(): Promise<number> {
  const catches: Catch[] = [];
  for (const bug of bugs.filter(({ name }) => values.bugs || name === values.bug)) {
    say(`${bug.name}: ${bug.title}\n`);
    const hunting = hunt(bug, { seed, durationMs, perSecond, say: tell }, (own) => {
      scope = own;
    });
    // The others are hunted all the same.
    const caught = await hunting.catch((error: unknown): Catch => {
      tell(`the run has failed: ${messageOf(error)}`);
      return { bug, check: undefined, checks: [], operations: 0, seconds: 0 };
    });
    say(
      `  ${caught.check ? `caught by "${caught.check}"` : 'NOT CAUGHT'} (all: ${caught.checks.join(', ')})\n`,
    );
    catches.push(caught);
  }
  say(`\n${catchTable(catches)}\n`);
  return catches.every(({ check }) => check !== undefined) ? 0 : 1;
}

function tell(text: string): void {
  say(`${((performance.now() - startedAtMs) / 1000).toFixed(1).padStart(7)} s  ${text}\n`);
}

function say(text: string): number {
  process.stdout.write(text);
  return 0;
}
