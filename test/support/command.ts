import type { AsyncCommand } from 'fast-check';

/** One step of a model-based test, shown by its text. It is drawn, but left out where it is not possible. */
export function command<Model extends object, Real>(
  text: string,
  run: (model: Model, real: Real) => Promise<void> | void,
  isPossible: (model: Readonly<Model>) => boolean = () => true,
): AsyncCommand<Model, Real> {
  return {
    check: isPossible,
    run: async (model, real) => {
      await run(model, real);
    },
    toString: () => text,
  };
}

/** Lets through what comes while it is open, and the rest when it opens. */
export class Gate {
  #opened: Promise<void> = Promise.resolve();
  #open: () => void = () => {};

  /** How many wait for it to open. */
  waiting = 0;

  async passed(): Promise<void> {
    this.waiting++;
    await this.#opened;
    this.waiting--;
  }

  close(): void {
    this.open();
    this.#opened = new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  open(): void {
    this.#open();
    this.#opened = Promise.resolve();
  }
}
