import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { type Clock, sleep } from '../../services/runtime/clock.js';
import type { CommandLine } from '../../services/runtime/command-line.js';
import type { Logger } from '../../services/runtime/log.js';
import { onLines } from './output.js';

/** How long it has to end by SIGTERM, ms. */
const termMs = 5000;

/**
 * Becomes the program, and leaves something behind that kills it once this process is gone, however that ended: the other end of
 * descriptor 3 is closed then. It is in place before the program is, and in its process group.
 */
const guarded = '(read -r _ <&3; kill -KILL 0) </dev/null >/dev/null 2>&1 & exec "$0" "$@" 3<&-';

export interface EngineProcessOptions {
  readonly command: CommandLine;
  readonly environment: NodeJS.ProcessEnv;
  readonly clock: Clock;
  /** Gets its output, line by line. */
  readonly log: Logger;
}

/** One run of a relay's program. It leads a process group, and does not outlive this process. */
export class EngineProcess {
  readonly #child: ChildProcess;
  readonly #clock: Clock;
  /** How it has ended: the name of a signal, or `code 1`. Known at once; nothing of it is left by then. */
  readonly exited: Promise<string>;

  private constructor(child: ChildProcess, clock: Clock) {
    this.#child = child;
    this.#clock = clock;
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.#killGroup();
        resolve(signal ?? `code ${code}`);
      });
    });
  }

  /** @throws Error of the system: it cannot be started */
  static async start({ command, environment, clock, log }: EngineProcessOptions): Promise<EngineProcess> {
    // What is process 1 takes everything with it.
    const [program, ...args] =
      process.pid === 1 ? command : (['/bin/sh', '-c', guarded, ...command] as const);
    const child = spawn(program, args, {
      env: environment,
      // No signal of a terminal reaches it: its relay node ends it when its calls are over.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    });
    const started = new EngineProcess(child, clock);
    await once(child, 'spawn');
    for (const stream of [child, ...child.stdio]) {
      stream?.on('error', (error) => log.warn({ err: error }, 'lost touch with the engine'));
    }
    for (const output of [child.stdout, child.stderr] as Readable[]) {
      onLines(output, (line) => log.info(line));
    }
    return started;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** SIGTERM, and SIGKILL if it has not ended after 5 s. */
  async stop(): Promise<void> {
    const ended = new AbortController();
    this.#child.kill('SIGTERM');
    void sleep(this.#clock, termMs, ended.signal).then(() => {
      if (!ended.signal.aborted) {
        this.#killGroup();
      }
    });
    await this.exited;
    ended.abort();
  }

  #killGroup(): void {
    try {
      process.kill(-this.pid, 'SIGKILL');
    } catch {
      // Nothing of it is left.
    }
  }
}
