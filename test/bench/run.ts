import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { OwnScope } from '../support/own-scope.js';
import { type BenchCase, type CaseResult, type Context, MissingProgramError } from './bench-case.js';
import { cases } from './cases.js';
import { compare, comparisonText } from './compare.js';
import { describeMachine, type Machine, machineText } from './machine.js';
import { plotSvg } from './plot/plot.js';
import { Results, readResults } from './results.js';
import { profileReplicas } from './stage/replica.js';
import { rowText, table } from './table.js';
import { type Judged, judge } from './verdict.js';

const usage = `usage: npm run bench [-- [--quick] [--prof DIRECTORY] [--compare FILE] [NAME...]]

  NAME              a case, or the beginning of its name; all cases if none is given
  --quick           small numbers: shows that everything works, measures nothing
  --prof DIRECTORY  replicas leave CPU profiles there
  --compare FILE    says what costs more than in these results, by more than the noise of both; fails above 25 %
  --list            names of the cases
`;

/** By what a row may cost more than before until the comparison fails. */
const mostCost = 1.25;
/** This file runs from dist/; results and plots are kept beside its source. */
const here = dirname(fileURLToPath(import.meta.url));
const source = join(here, '../../../test/bench');

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
    prof: { type: 'string' },
    compare: { type: 'string' },
  },
});
// What the environment has each process load at its start is no cost of Holdfast's: certificates take as long as all of Node does.
for (const name of ['NODE_EXTRA_CA_CERTS', 'NODE_OPTIONS']) {
  delete process.env[name];
}
if (values.prof !== undefined) {
  profileReplicas(values.prof);
}
process.exit(await main());

async function main(): Promise<number> {
  if (values.help) {
    return say(usage);
  }
  if (values.list) {
    return say(cases.map(({ name, title }) => `${name.padEnd(18)} ${title}\n`).join(''));
  }
  const wanted = cases.filter(
    ({ name }) => positionals.length === 0 || positionals.some((text) => name.startsWith(text)),
  );
  const unknown = positionals.filter((text) => !cases.some(({ name }) => name.startsWith(text)));
  if (unknown.length > 0) {
    process.stderr.write(`no case begins with ${unknown.join(', ')}; --list tells which there are\n`);
    return 2;
  }
  const output = values.quick ? here : source;
  // Before this run replaces them.
  const before = values.compare === undefined ? undefined : readResults(values.compare);
  const results = new Results(join(output, 'results.json'));
  const machine = describeMachine();
  say(`${machineText(machine)}${values.quick ? '\n--quick: these figures measure nothing' : ''}\n\n`);
  const rows: Judged[] = [];
  let failures = 0;
  for (const benchCase of wanted) {
    const result = await runCase(benchCase);
    if (result === 'failed') {
      failures++;
    } else if (result !== 'skipped') {
      rows.push(...keep(benchCase, result, { results, machine, output }));
    }
  }
  if (rows.length > 0) {
    say(`\n${table(rows)}\n`);
  }
  const compared = before ? compare(before, rows) : [];
  if (before && compared.length === 0) {
    process.stderr.write(`none of these rows is in ${values.compare}\n`);
    return 1;
  }
  say(compared.map((each) => `${comparisonText(each)}\n`).join(''));
  const regressed = compared.some(({ isSlower, cost }) => isSlower && cost > mostCost);
  return failures === 0 && !regressed ? 0 : 1;
}

async function runCase({ name, title, run }: BenchCase): Promise<CaseResult | 'failed' | 'skipped'> {
  const scope = new OwnScope();
  const startedAtMs = performance.now();
  const closeOnSignal = () => void scope.close().finally(() => process.exit(130));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, closeOnSignal);
  }
  say(`${name}: ${title}\n`);
  const context: Context = {
    scope,
    pick: (full, quick) => (values.quick ? quick : full),
    progress: (text) => say(`  ${text}\n`),
    measured: (row) => {
      say(`  ${rowText(judge(row))}\n`);
      return row;
    },
  };
  try {
    return await run(context);
  } catch (error) {
    if (error instanceof MissingProgramError) {
      say(`  skipped: ${error.message}\n`);
      return 'skipped';
    }
    process.stderr.write(`  failed: ${error instanceof Error ? (error.stack ?? error.message) : error}\n`);
    return 'failed';
  } finally {
    await scope.close();
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.off(signal, closeOnSignal);
    }
    say(`  ${((performance.now() - startedAtMs) / 1000).toFixed(0)} s\n`);
  }
}

interface Keeping {
  readonly results: Results;
  readonly machine: Machine;
  readonly output: string;
}

function keep({ name }: BenchCase, result: CaseResult, { results, machine, output }: Keeping): Judged[] {
  const judged = result.rows.map(judge);
  results.put(name, { machine, rows: judged, plots: result.plots ?? [] });
  for (const row of judged) {
    for (const [note, value] of Object.entries(row.notes ?? {})) {
      say(`  ${row.name}: ${note} ${value}\n`);
    }
  }
  for (const plot of result.plots ?? []) {
    const file = join(output, 'plots', plot.file);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, plotSvg(plot));
    say(`  plot: ${file}\n`);
  }
  return judged;
}

function say(text: string): number {
  process.stdout.write(text);
  return 0;
}
