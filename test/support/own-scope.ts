import type { Scope } from './process.js';

/** Owns what a program outside the tests starts, and ends it in reverse order, even after a failure. */
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
