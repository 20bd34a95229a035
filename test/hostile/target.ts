import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { ExecutionContext } from 'ava';
import { lineLimit } from '../../services/replica/line-budget.js';
import type { TestProcess } from '../support/process.js';
import { logOf } from '../support/stack.js';

/** Most that an attack may add to the memory of a process, MiB. */
const maxGrowthMib = 64;
/** Within this time after an attack everything is served as before, ms. */
const recoveryMs = 5000;
const samplePeriodMs = 100;

export interface AttackOptions {
  /** Serves one good client once; rejects if it is not served. It must take a connection of its own. */
  readonly goodClient: () => Promise<void>;
  /** Good clients that may be turned away while the attack lasts, as a share. */
  readonly tolerated?: number;
  /** After it, its connections must be closed: ends the attack. */
  readonly end: () => Promise<void> | void;
  readonly growthMib?: number;
  /** When good clients must be served; always unless given. */
  readonly served?: 'always' | 'after';
}

export const wait = (ms: number) => delay(ms);

/**
 * Attacks a process and asserts what holds whatever the attack: it does not exit, logs nothing unexpected and not too much,
 * serves good clients meanwhile, keeps its memory within bounds, and is as good as new 5 s later.
 */
export async function withstand(
  t: ExecutionContext,
  target: TestProcess,
  attack: () => Promise<void>,
  { goodClient, end, tolerated = 0, growthMib = maxGrowthMib, served = 'always' }: AttackOptions,
): Promise<void> {
  await goodClient();
  const before = await rssMib(target.pid);
  const linesBefore = target.running ? logOf(target).length : 0;
  const begunMs = performance.now();
  const watch = { over: false, peak: before, served: 0, failures: [] as string[] };
  const sampling = sample(target, watch);
  const serving = serve(goodClient, watch);
  try {
    await attack();
  } finally {
    watch.over = true;
    await Promise.all([sampling, serving]);
  }
  const seconds = (performance.now() - begunMs) / 1000;
  await end();
  t.true(target.running, `it ended:\n${target.output.slice(-4000)}`);
  await eventuallyServed(goodClient);
  const growth = watch.peak - before;
  t.log(
    `RSS ${before} → ${watch.peak} MiB (+${growth}), ${watch.served} served, ${watch.failures.length} not`,
  );
  t.true(growth <= growthMib, `RSS grew by ${growth} MiB, from ${before}`);
  t.true(watch.served > 0 || served === 'after', `no good client was served: ${watch.failures[0]}`);
  const share = watch.failures.length / (watch.served + watch.failures.length);
  t.true(share <= tolerated, `${watch.failures.length} good clients not served: ${watch.failures[0]}`);
  assertQuiet(t, target, linesBefore, seconds);
}

interface Watch {
  over: boolean;
  peak: number;
  served: number;
  readonly failures: string[];
}

async function sample(target: TestProcess, watch: Watch): Promise<void> {
  while (!watch.over && target.running) {
    watch.peak = Math.max(watch.peak, await rssMib(target.pid).catch(() => 0));
    await delay(samplePeriodMs);
  }
}

async function serve(goodClient: () => Promise<void>, watch: Watch): Promise<void> {
  while (!watch.over) {
    await goodClient().then(
      () => watch.served++,
      (error) => watch.failures.push(String(error)),
    );
    await delay(samplePeriodMs);
  }
}

/** The first try may still meet the end of the attack; from `recoveryMs` on none may fail. */
async function eventuallyServed(goodClient: () => Promise<void>): Promise<void> {
  const deadlineMs = performance.now() + recoveryMs;
  for (;;) {
    try {
      return await goodClient();
    } catch (error) {
      if (performance.now() > deadlineMs) {
        throw error;
      }
      await delay(samplePeriodMs);
    }
  }
}

/**
 * No unexpected error, and of each kind no more lines than replicas write: a full budget in each period that the attack and the
 * recovery touch, and one line for those that were folded.
 */
function assertQuiet(t: ExecutionContext, target: TestProcess, since: number, seconds: number): void {
  const lines = logOf(target).slice(since);
  t.deepEqual(
    lines.filter(({ level, msg }) => level >= 60 || msg === 'unexpected error'),
    [],
  );
  const periods = Math.ceil((seconds * 1000 + recoveryMs) / lineLimit.periodMs) + 1;
  const allowed = periods * (lineLimit.most + 1);
  for (const msg of new Set(lines.map((line) => line.msg))) {
    const count = lines.filter((line) => line.msg === msg).length;
    t.true(count <= allowed, `${count} lines "${msg}" in ${Math.round(seconds)} s`);
  }
}

/** Resident memory, MiB. */
async function rssMib(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Math.round(Number(/^VmRSS:\s*(\d+) kB/m.exec(status)?.[1] ?? 0) / 1024);
}
