import { setMaxListeners } from 'node:events';
import { join } from 'node:path';
import type { Scope } from '../support/process.js';
import { check, type Verdict } from './check/check.js';
import { recoveredByMs } from './check/rules/recovery.js';
import type { Violation } from './check/violation.js';
import { Caller } from './clients/caller.js';
import { Observer } from './clients/observer.js';
import { Workload } from './clients/workload.js';
import { Injector } from './faults/injector.js';
import { Random } from './plan/random.js';
import { type FaultMix, type Pause, schedule } from './plan/schedule.js';
import { Journal } from './record/journal.js';
import { nowMs } from './record/now.js';
import { historyFile, logFile, readRecords } from './record/read-records.js';
import { Recorder } from './record/recorder.js';
import type { HistoryRecord, LogRecord } from './record/records.js';
import { WatchLog } from './record/watch-log.js';
import { prefix, Stage } from './stage/stage.js';
import { wait } from './wait.js';

export interface SessionOptions {
  readonly seed: number;
  readonly durationMs: number;
  readonly perSecond: number;
  /** For the history, the watch log and the logs of the processes. */
  readonly directory: string;
  readonly mix: FaultMix;
  readonly pauseMs?: Pause;
  /** A module that each replica loads before anything else. */
  readonly replicaModule?: string | undefined;
  /** Checks periodically during the run, and ends it at such a violation. */
  readonly endsAt?: (violation: Violation) => boolean;
  readonly say: (text: string) => void;
}

export interface SessionResult {
  readonly verdict: Verdict;
  readonly faults: ReadonlyMap<string, number>;
  readonly counts: Recorder['counts'];
  readonly operations: number;
}

/** Short enough that calls expire within a run of minutes. */
const ttl = { setupTtlSeconds: 10, callTtlSeconds: 20, lingerSeconds: 20 } as const;
const catchUpMs = 60_000;
const lookPeriodMs = 8000;
const correctionMs = 10_000;
/** Calls continue for this long after everything has recovered: by then what was put off is done. */
const calmMs = 16_000;

/** One run: an installation, calls, faults, and a check of what was recorded. */
export class Session {
  readonly #scope: Scope;
  readonly #options: SessionOptions;
  readonly #history: Journal<HistoryRecord>;
  readonly #log: Journal<LogRecord>;
  readonly #stopping = new AbortController();

  constructor(scope: Scope, options: SessionOptions) {
    this.#scope = scope;
    this.#options = options;
    this.#history = new Journal(join(options.directory, historyFile));
    this.#log = new Journal(join(options.directory, logFile));
    // Each snapshot that is still to be taken waits for it.
    setMaxListeners(0, this.#stopping.signal);
  }

  /** @throws Error if the installation does not start, or does not recover after the last fault */
  async run(): Promise<SessionResult> {
    const { seed, durationMs, perSecond, directory, mix, say, replicaModule, endsAt } = this.#options;
    let watchLog: WatchLog | undefined;
    const stage = await Stage.start(this.#scope, {
      directory,
      replicaModule,
      replicaEnv: {
        HOLDFAST_SETUP_TTL_SECONDS: `${ttl.setupTtlSeconds}`,
        HOLDFAST_CALL_TTL_SECONDS: `${ttl.callTtlSeconds}`,
        HOLDFAST_LINGER_SECONDS: `${ttl.lingerSeconds}`,
      },
      onCluster: async ({ endpoints }) => {
        watchLog = new WatchLog(this.#scope, endpoints, prefix, this.#log);
        await watchLog.start();
      },
    });
    if (!watchLog) {
      throw new Error('no watch log');
    }
    const relaysByAddress = Object.fromEntries(stage.relays.map(({ address, id }) => [address, id]));
    this.#history.write({
      type: 'run',
      atMs: nowMs(),
      seed,
      ...ttl,
      replicas: stage.replicas.map(({ name }) => name),
      relays: stage.relays.map(({ id }) => id),
    });
    const recorder = new Recorder(this.#history);
    // Separate from the schedule's numbers, so that the schedule does not depend on what the calls draw.
    const random = new Random(seed ^ 0x5e_ed);
    const caller = new Caller(stage.replicas, relaysByAddress, recorder, random);
    await caller.start();
    const observer = new Observer(this.#scope, stage, this.#history);
    await observer.start();
    const workload = new Workload(caller, random, perSecond);
    const injector = new Injector({ stage, watchLog, history: this.#history, directory, say });
    const faults = schedule(seed, durationMs, mix, this.#options.pauseMs);
    say(`${faults.length} faults in ${Math.round(durationMs / 1000)} s, ${perSecond} operations/s`);
    workload.start();
    const looking = endsAt ? this.#look(watchLog, endsAt) : undefined;
    const { signal } = this.#stopping;
    const observing = observer.run(signal);
    await Promise.all([injector.run(faults, () => workload.burst(), signal), this.#pause(durationMs)]);
    this.#history.write({ type: 'healed', atMs: nowMs() });
    await observer.probe(recoveredByMs);
    await stage.up();
    await this.#pause(calmMs);
    await observer.takeCensus();
    await workload.stop();
    this.#stopping.abort();
    await Promise.all([looking, observing]);
    await caller.stop();
    if (!(await watchLog.catchUp(catchUpMs))) {
      throw new Error('the watch log cannot catch up with etcd');
    }
    await watchLog.stop();
    await Promise.all([this.#history.close(), this.#log.close()]);
    const verdict = await this.#check(Number.POSITIVE_INFINITY);
    return { verdict, faults: injector.counts, counts: recorder.counts, operations: recorder.operations };
  }

  /** Checks the records so far, periodically, until there is such a violation or the run has ended. */
  async #look(watchLog: WatchLog, endsAt: (violation: Violation) => boolean): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      await this.#pause(lookPeriodMs);
      const untilMs = nowMs();
      if (!(await watchLog.catchUp(catchUpMs))) {
        return;
      }
      await Promise.all([this.#history.flush(), this.#log.flush()]);
      const { violations } = await this.#check(untilMs);
      // What is just wrong may be corrected in time.
      if (violations.some((each) => each.atMs < untilMs - correctionMs && endsAt(each))) {
        this.#stopping.abort();
      }
    }
  }

  async #check(untilMs: number): Promise<Verdict> {
    const { history, log } = await readRecords(this.#options.directory, untilMs);
    return check(history, log);
  }

  #pause(ms: number): Promise<void> {
    return wait(ms, this.#stopping.signal);
  }
}
