import type { Engine, EngineRun } from '../engine/engine.js';
import type { RelayDriver, RelayStatus } from './relay.js';

/** A relay whose program this node runs: so it is known when one life of it ends and another begins. */
export class OwnedRelay implements RelayDriver {
  /** Its calls end with its program, and that with this process. */
  readonly leave = undefined;
  readonly engine: Engine;
  readonly #relay: RelayDriver;

  /** @param relay asks it over its control port */
  constructor(relay: RelayDriver, engine: Engine) {
    this.#relay = relay;
    this.engine = engine;
  }

  get kind() {
    return this.#relay.kind;
  }

  get controlUrl() {
    return this.#relay.controlUrl;
  }

  /** @throws Error of the system, if its program cannot be started */
  async start(): Promise<void> {
    await this.engine.start();
    await this.#relay.start();
  }

  async stop(): Promise<void> {
    await this.#relay.stop();
    await this.engine.stop();
  }

  readonly onExit = (listener: (exit: string) => void) => this.engine.onExit(listener);

  async ping(): Promise<void> {
    // Whoever may answer at its address meanwhile is another one.
    const { run } = this.engine;
    await this.#relay.ping();
    this.#checkRuns(run);
  }

  async status(): Promise<RelayStatus> {
    const { run } = this.engine;
    const status = await this.#relay.status();
    this.#checkRuns(run);
    const { startedAtMs, instance } = run;
    return { ...status, startedAtMs, instance };
  }

  features(): Promise<string[]> {
    return this.#relay.features();
  }

  callIds(): Promise<string[]> {
    return this.#relay.callIds();
  }

  #checkRuns(run: EngineRun): void {
    if (this.engine.run !== run) {
      throw new Error('the engine has ended, and another one was started');
    }
  }
}
