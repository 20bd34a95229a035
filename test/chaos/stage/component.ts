import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
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
}

/** One of Holdfast's processes, which can be killed, frozen and restarted at its old addresses. */
export class Component {
  readonly #scope: Scope;
  readonly #options: ComponentOptions;
  readonly #keep: (text: string) => void;
  #process: TestProcess | undefined;
  /** Number of starts: a new process knows nothing of the one before. */
  life = 0;

  constructor(scope: Scope, options: ComponentOptions) {
    this.#scope = scope;
    this.#options = options;
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
    this.#process = await startHoldfast(this.#scope, this.#options.args, this.#options.env, {
      onOutput: this.#keep,
    });
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

  resume(): void {
    this.#process?.resume();
  }
}
