/**
 * Runs a task for the latest state of things: one run at a time, and after it one more if anything has changed meanwhile,
 * however often. So a slow task falls behind by one run, and its callers never wait.
 */
export class Latest {
  #running: Promise<void> | undefined;
  #changed = false;

  /** @param task must not reject */
  constructor(private readonly task: () => Promise<void>) {}

  changed(): void {
    this.#changed = true;
    this.#running ??= this.#run();
  }

  /** Resolves when no run is under way. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#changed) {
      this.#changed = false;
      await this.task();
    }
    this.#running = undefined;
  }
}
