import type { AsyncCommand } from 'fast-check';

/** One step of a model-based test, printed as its text. Steps that are not possible in the current state are left out. */
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

/** Callers pass while it is open and otherwise wait until it opens. */
export class Gate {
  #opened: Promise<void> = Promise.resolve();
  #open: () => void = () => {};

  /** Callers that wait for it to open. */
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
