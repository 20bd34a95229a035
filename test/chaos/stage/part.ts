import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import type { Scope, TestProcess } from '../../support/process.js';
import { startHoldfast } from '../../support/stack.js';

export interface PartOptions {
  readonly name: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** The log line that says that it serves. */
  readonly isUp: string;
  /** Where its log is kept, all its lives in one file. */
  readonly directory: string;
}

/** One of Holdfast's processes, which can be killed, frozen and started again under its old addresses. */
export class Component {
  readonly #scope: Scope;
  readonly #options: PartOptions;
  readonly #keep: (text: string) => void;
  #process: TestProcess | undefined;
  /** Counts its starts: what one life knew the next one does not. */
  life = 0;

  constructor(scope: Scope, options: PartOptions) {
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

  /** Resolves once the process runs; whether it serves is another matter. */
  async start(): Promise<void> {
    await this.kill();
    this.life++;
    this.#process = await startHoldfast(this.#scope, this.#options.args, this.#options.env, {
      onOutput: this.#keep,
    });
  }

  /** Resolves once it serves. */
  async up(timeoutMs = 60_000): Promise<void> {
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
