import { createWriteStream, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Scope, TestProcess } from '../../support/process.js';
import { startHoldfast } from '../../support/stack.js';

export interface ComponentOptions {
  readonly name: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** The log message of a process that is ready. */
  readonly isUp: string;
  /** For its log, one file for all its starts. */
  readonly directory: string;
  /** A module that it loads before anything else. */
  readonly module?: string | undefined;
}

const steppedClock = new URL('stepped-clock.js', import.meta.url).href;

/** One of Holdfast's processes, which can be killed, frozen and restarted at its old addresses. */
export class Component {
  readonly #scope: Scope;
  readonly #options: ComponentOptions;
  readonly #keep: (text: string) => void;
  /** By how much its wall clock is set forward, ms. */
  readonly #clockFile: string;
  #process: TestProcess | undefined;
  /** Number of starts: a new process knows nothing of the one before. */
  life = 0;

  constructor(scope: Scope, options: ComponentOptions) {
    this.#scope = scope;
    this.#options = options;
    this.#clockFile = join(options.directory, `${options.name}.clock`);
    writeFileSync(this.#clockFile, '0');
    const log = createWriteStream(join(options.directory, `${options.name}.log`), { flags: 'a' });
    scope.teardown(() => new Promise<void>((resolve) => log.end(resolve)));
    this.#keep = (text) => {
      if (!log.writableEnded) {
        log.write(text);
      }
    };
  }

  get name(): string {
    return this.#options.name;
  }

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  /** Resolves once the process runs, before it is ready. */
  async start(): Promise<void> {
    await this.kill();
    this.life++;
    const { args, env, module } = this.#options;
    const modules = [steppedClock, ...(module ? [pathToFileURL(module).href] : [])];
    const preloads = {
      CHAOS_CLOCK_FILE: this.#clockFile,
      NODE_OPTIONS: modules.map((each) => `--import=${each}`).join(' '),
    };
    this.#process = await startHoldfast(this.#scope, args, { ...env, ...preloads }, { onOutput: this.#keep });
  }

  /** Resolves once it is ready. */
  async up(timeoutMs = 180_000): Promise<void> {
    await this.#process?.waitForLine(`"msg":"${this.#options.isUp}"`, timeoutMs);
  }

  async kill(): Promise<void> {
    if (this.#process?.running) {
      await this.#process.kill();
    }
  }

  async pause(): Promise<void> {
    if (this.#process?.running) {
      await this.#process.pause();
    }
  }

  /** Sets its wall clock forward by so much from what it is; 0 sets it right. */
  setClock(stepMs: number): void {
    // Replaced as a whole, for it may be read at any time.
    writeFileSync(`${this.#clockFile}.new`, String(stepMs));
    renameSync(`${this.#clockFile}.new`, this.#clockFile);
  }

  resume(): void {
    this.#process?.resume();
  }
}
