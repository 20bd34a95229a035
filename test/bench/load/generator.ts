import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Scope } from '../../support/process.js';
import type { Answer, Job, LoadResult } from './job.js';

const program = fileURLToPath(new URL('main.js', import.meta.url));

/** The load generator's process, from the runner's side. */
export class LoadGenerator {
  readonly #process: ChildProcess;

  private constructor(process: ChildProcess) {
    this.#process = process;
  }

  static start(scope: Scope): LoadGenerator {
    const generator = new LoadGenerator(fork(program, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] }));
    scope.teardown(() => generator.stop());
    return generator;
  }

  /**
   * Runs one job. The jobs of a generator run one after the other.
   * @throws Error if a request failed or an answer was unexpected, which makes the measurement invalid
   */
  async run(job: Job): Promise<LoadResult> {
    const result = await this.attempt(job);
    if (result.errors > 0 || result.unexpected > 0) {
      throw new Error(
        `${job.target.kind}: ${result.errors} of ${result.calls} failed, ${result.unexpected} samples unexpected`,
      );
    }
    return result;
  }

  /** Like `run`, but accepts failed and unexpected answers. @throws Error if the generator failed */
  async attempt(job: Job): Promise<LoadResult> {
    const over = new AbortController();
    try {
      const answered = once(this.#process, 'message', { signal: over.signal });
      const died = once(this.#process, 'exit', { signal: over.signal });
      for (const each of [answered, died]) {
        each.catch(() => {});
      }
      this.#process.send(job);
      const [answer] = (await Promise.race([
        answered,
        died.then(([code, signal]) => {
          throw new Error(`the load generator ended (${signal ?? code})`);
        }),
      ])) as [Answer];
      if ('failure' in answer) {
        throw new Error(answer.failure);
      }
      return answer.result;
    } finally {
      over.abort();
    }
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) {
      return;
    }
    const exited = once(this.#process, 'exit');
    this.#process.kill();
    await exited;
  }
}
