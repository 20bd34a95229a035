import { cpuSeconds } from '../stage/cpu.js';
import { Histogram } from './histogram.js';
import type { LoadResult, Loop } from './job.js';
import type { Operations } from './operations.js';

/** Period in which an open loop starts operations that are due. */
const tickMs = 1;
/** After this time an operation counts as lost, and the run fails. */
const patienceMs = 20_000;

/** Runs operations in a loop, and counts those that end during the measurement. */
export async function run(operations: Operations, loop: Loop, watch: readonly number[]): Promise<LoadResult> {
  const meter = new Meter(operations, watch);
  if (loop.kind === 'count') {
    await runCount(operations, loop, meter);
  } else {
    await runFor(operations, loop, meter);
  }
  return meter.result;
}

class Meter {
  readonly #operations: Operations;
  readonly #watch: readonly number[];
  readonly #histogram = new Histogram();
  #errors = 0;
  #measuring = false;
  #startedAtMs = 0;
  #cpuBefore: number[] = [];
  #ownBefore = process.cpuUsage();
  #result: LoadResult | undefined;

  constructor(operations: Operations, watch: readonly number[]) {
    this.#operations = operations;
    this.#watch = watch;
  }

  get result(): LoadResult {
    if (!this.#result) {
      throw new Error('nothing was measured');
    }
    return this.#result;
  }

  begin(): void {
    this.#cpuBefore = this.#watch.map(cpuSeconds);
    this.#ownBefore = process.cpuUsage();
    this.#startedAtMs = performance.now();
    this.#measuring = true;
  }

  count(dueAtMs: number, succeeded: boolean): void {
    if (!succeeded) {
      this.#errors++;
    }
    if (this.#measuring && succeeded) {
      this.#histogram.add((performance.now() - dueAtMs) * 1000);
    }
  }

  end(): void {
    this.#measuring = false;
    const seconds = (performance.now() - this.#startedAtMs) / 1000;
    const own = process.cpuUsage(this.#ownBefore);
    const calls = this.#histogram.count * this.#operations.size;
    this.#result = {
      calls,
      errors: this.#errors,
      unexpected: this.#operations.unexpected,
      seconds,
      perSecond: calls / seconds,
      p50Us: this.#histogram.quantile(0.5),
      p99Us: this.#histogram.quantile(0.99),
      cpuSeconds: this.#watch.map((pid, i) => cpuSeconds(pid) - (this.#cpuBefore[i] ?? 0)),
      ownCpuSeconds: (own.user + own.system) / 1e6,
      answerBytes: this.#operations.answerBytes,
    };
  }
}

async function runCount(
  operations: Operations,
  { concurrency, operations: count }: Extract<Loop, { kind: 'count' }>,
  meter: Meter,
): Promise<void> {
  meter.begin();
  let begun = 0;
  let ended = 0;
  await settled((resolve) => {
    const next = () => {
      const dueAtMs = performance.now();
      begun++;
      operations.start((succeeded) => {
        meter.count(dueAtMs, succeeded);
        if (++ended === count) {
          resolve();
        } else if (begun < count) {
          next();
        }
      });
    };
    for (let i = 0; i < Math.min(concurrency, count); i++) {
      next();
    }
  }, Number.POSITIVE_INFINITY);
  meter.end();
}

async function runFor(
  operations: Operations,
  loop: Extract<Loop, { durationMs: number }>,
  meter: Meter,
): Promise<void> {
  const startedAtMs = performance.now();
  const endAtMs = startedAtMs + loop.warmupMs + loop.durationMs;
  let underWay = 0;
  let stopped = false;
  let drained = () => {};
  const begin = (dueAtMs: number, after: () => void) => {
    underWay++;
    operations.start((succeeded) => {
      underWay--;
      meter.count(dueAtMs, succeeded);
      if (!stopped) {
        after();
      } else if (underWay === 0) {
        drained();
      }
    });
  };
  setTimeout(() => meter.begin(), loop.warmupMs);
  if (loop.kind === 'closed') {
    const next = () => begin(performance.now(), next);
    for (let i = 0; i < loop.concurrency; i++) {
      next();
    }
    await new Promise((resolve) => setTimeout(resolve, loop.warmupMs + loop.durationMs));
  } else {
    await pace(loop.perSecond, startedAtMs, endAtMs, (dueAtMs) => begin(dueAtMs, () => {}));
  }
  stopped = true;
  meter.end();
  await settled((resolve) => {
    drained = resolve;
    if (underWay === 0) {
      resolve();
    }
  }, patienceMs);
}

function pace(
  perSecond: number,
  startedAtMs: number,
  endAtMs: number,
  begin: (dueAtMs: number) => void,
): Promise<void> {
  const gapMs = 1000 / perSecond;
  let dueAtMs = startedAtMs;
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      const nowMs = performance.now();
      for (; dueAtMs <= nowMs && dueAtMs < endAtMs; dueAtMs += gapMs) {
        // A delay of up to two ticks is the timer's resolution; a longer one means that this process falls behind, and counts.
        begin(nowMs - dueAtMs < 2 * tickMs ? nowMs : dueAtMs + tickMs);
      }
      if (nowMs < endAtMs) {
        return;
      }
      clearInterval(timer);
      resolve();
    }, tickMs);
  });
}

function settled(begin: (resolve: () => void) => void, withinMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = Number.isFinite(withinMs)
      ? setTimeout(() => reject(new Error(`operations not answered within ${withinMs} ms`)), withinMs)
      : undefined;
    begin(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
