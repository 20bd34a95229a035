import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { OwnScope } from '../../support/own-scope.js';
import { findProgram } from '../../support/program.js';
import { Caller } from '../clients/caller.js';
import { Workload } from '../clients/workload.js';
import { Random } from '../plan/random.js';
import { Recorder } from '../record/recorder.js';
import { Stage } from '../stage/stage.js';
import { Samples } from './samples.js';
import { trendOf, trendTable } from './trend.js';

const usage = `usage: npm run soak [-- [--minutes M] [--rate R] [--seed S]]

  --minutes M   duration (30); at least 5, because calls end only after the first two
  --rate R      operations per second (100)
  --seed S      seed of the calls (1)

Calls begin and end at a steady rate against one etcd, two replicas and three relays. Memory, handles, and what is in
etcd must not grow: the exit code is 1 if the last quarter exceeds the second one by more than the limit.
`;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '30' },
    rate: { type: 'string', default: '100' },
    seed: { type: 'string', default: '1' },
    help: { type: 'boolean', default: false },
  },
});
const [minutes = 0, rate = 0, seed = 0] = [values.minutes, values.rate, values.seed].map(Number);
/** Shorter runs are sampled more often. */
const samplePeriodMs = Math.max(1000, Math.min(15_000, (minutes * 60_000) / 60));
const scope = new OwnScope();

process.exit(await main());

async function main(): Promise<number> {
  if (values.help) {
    return say(usage);
  }
  if (![minutes, rate, seed].every((number) => Number.isFinite(number) && number >= 0) || minutes < 5) {
    process.stderr.write(usage);
    return 2;
  }
  if (!findProgram('etcd')) {
    process.stderr.write('etcd is not installed\n');
    return 2;
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void scope.close().finally(() => process.exit(130)));
  }
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-soak-'));
  scope.teardown(() => rmSync(directory, { recursive: true, force: true }));
  try {
    return await soak(directory);
  } finally {
    await scope.close();
  }
}

async function soak(directory: string): Promise<number> {
  const stage = await Stage.start(scope, {
    directory,
    members: 1,
    replicas: 2,
    relays: 3,
    rtpengines: 1,
    replicaEnv: {
      HOLDFAST_SETUP_TTL_SECONDS: '15',
      HOLDFAST_CALL_TTL_SECONDS: '30',
      HOLDFAST_LINGER_SECONDS: '20',
      // Full within the first minutes: a full cache is not a leak.
      HOLDFAST_CACHE_ENTRIES: '2000',
    },
  });
  const recorder = new Recorder({ write: () => {} });
  const random = new Random(seed);
  const relaysByAddress = Object.fromEntries(stage.relays.map(({ address, id }) => [address, id]));
  const caller = new Caller(stage.replicas, relaysByAddress, recorder, random);
  await caller.start();
  const workload = new Workload(caller, random, rate);
  workload.start();
  const samples = new Samples(stage);
  const startedAtMs = performance.now();
  const elapsedMinutes = () => (performance.now() - startedAtMs) / 60_000;
  while (elapsedMinutes() < minutes) {
    await new Promise((resolve) => setTimeout(resolve, samplePeriodMs));
    await samples.take(elapsedMinutes());
  }
  await workload.stop();
  await caller.stop();
  const trends = samples.series.map(trendOf);
  const { ok, refused, unknown } = recorder.counts;
  say(
    `${minutes} minutes, ${recorder.operations} operations: ${ok} ok, ${refused} refused, ${unknown} unknown\n\n`,
  );
  say(`${trendTable(trends)}\n`);
  return trends.some(({ grows }) => grows) ? 1 : 0;
}

function say(text: string): number {
  process.stdout.write(text);
  return 0;
}
