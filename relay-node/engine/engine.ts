import { basename } from 'node:path';
import { messageOf } from '../../services/domain/error.js';
import { newInstanceId } from '../../services/registry/instance-id.js';
import { Backoff } from '../../services/runtime/backoff.js';
import type { Clock } from '../../services/runtime/clock.js';
import type { CommandLine } from '../../services/runtime/command-line.js';
import type { Logger } from '../../services/runtime/log.js';
import { Subscribers } from '../../services/runtime/subscribers.js';
import { EngineProcess } from './engine-process.js';

const pauses = { firstMs: 250, mostMs: 30_000 };
/** One that ran for this long had started well: the next pause is the first again. */
const wellMs = 60_000;

export interface EngineOptions {
  readonly command: CommandLine;
  /** Of this process; the engine gets it without our own settings, among which are secrets. */
  readonly environment: NodeJS.ProcessEnv;
  readonly clock: Clock;
  readonly log: Logger;
}

/** One run of the engine. */
export interface EngineRun {
  /** Of the relay, for as long as this run lasts. */
  readonly instance: string;
  /** By the monotonic clock, ms. */
  readonly startedAtMs: number;
}

/** The program of a relay, which runs as long as this: when it ends, it is started again. */
export class Engine {
  readonly #options: EngineOptions;
  readonly #log: Logger;
  readonly #exits = new Subscribers<string>();
  readonly #stopping = new AbortController();
  #process: EngineProcess | undefined;
  #run: EngineRun | undefined;
  #lastExit = 'it has not been started';
  #starts = 0;
  #kept: Promise<void> | undefined;

  constructor(options: EngineOptions) {
    this.#options = options;
    this.#log = options.log.child({ engine: basename(options.command[0]) });
  }

  /** Since this process began. */
  get starts(): number {
    return this.#starts;
  }

  /** The run that there is now. @throws Error saying how the last one has ended */
  get run(): EngineRun {
    if (!this.#run) {
      throw new Error(`the engine does not run: ${this.#lastExit}`);
    }
    return this.#run;
  }

  /** Tells at once that a run has ended, and how: the name of a signal, or `code 1`. */
  onExit(listener: (exit: string) => void): void {
    this.#exits.add(listener);
  }

  /** @throws Error of the system, if it cannot be started */
  async start(): Promise<void> {
    this.#kept = this.#keep(await this.#begin());
  }

  /** Ends it, and whatever it has started. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all([this.#process?.stop(), this.#kept]);
  }

  async #begin(): Promise<EngineProcess> {
    const { command, environment, clock } = this.#options;
    const passed = Object.entries(environment).filter(([name]) => !name.startsWith('HOLDFAST_'));
    const startedAtMs = clock.monotonicMs();
    const begun = await EngineProcess.start({
      command,
      environment: Object.fromEntries(passed),
      clock,
      log: this.#log,
    });
    this.#starts++;
    this.#process = begun;
    this.#run = { instance: newInstanceId(), startedAtMs };
    this.#log.info({ enginePid: begun.pid }, 'engine started');
    if (this.#stopping.signal.aborted) {
      await begun.stop();
    }
    return begun;
  }

  async #keep(first: EngineProcess): Promise<void> {
    const backoff = new Backoff(pauses, this.#options.clock);
    for (let current: EngineProcess | undefined = first; current; current = await this.#beginAgain(backoff)) {
      const ranMs = await this.#ended(current);
      if (ranMs >= wellMs) {
        backoff.reset();
      }
    }
  }

  /** @returns how long it ran, ms */
  async #ended({ exited }: EngineProcess): Promise<number> {
    const { clock } = this.#options;
    const exit = await exited;
    const ranMs = Math.round(clock.monotonicMs() - (this.#run?.startedAtMs ?? 0));
    this.#run = undefined;
    this.#lastExit = exit;
    if (this.#stopping.signal.aborted) {
      this.#log.info({ exit, ranMs }, 'engine stopped');
      return ranMs;
    }
    this.#exits.tell(exit);
    this.#log.error({ exit, ranMs }, 'the engine has ended');
    if (exit === 'code 0') {
      this.#log.warn(
        'an engine that goes to the background is out of reach: tell it to stay in the foreground',
      );
    }
    return ranMs;
  }

  /** After a pause. Undefined if there is to be no engine any more. */
  async #beginAgain(backoff: Backoff): Promise<EngineProcess | undefined> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await backoff.pause(signal);
      if (signal.aborted) {
        break;
      }
      try {
        return await this.#begin();
      } catch (error) {
        this.#log.error({ reason: messageOf(error) }, 'the engine cannot be started');
      }
    }
    return undefined;
  }
}
