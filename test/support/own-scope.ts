import type { Scope } from './process.js';

/** Owns what a run outside the tests starts, and ends it in reverse order, also when the run failed. */
export class OwnScope implements Scope {
  readonly #tasks: (() => Promise<void> | void)[] = [];

  teardown(task: () => Promise<void> | void): void {
    this.#tasks.push(task);
  }

  async close(): Promise<void> {
    for (let task = this.#tasks.pop(); task; task = this.#tasks.pop()) {
      await task();
    }
  }
}
