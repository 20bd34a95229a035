import { type Clock, sleep } from '../runtime/clock.js';

const periodMs = 10;

/** Whether requests can be served. A proxy that sends one just after the start is better off waiting than refused. */
export class Readiness {
  /** @param notReady why requests cannot be served yet, or undefined */
  constructor(
    private readonly notReady: () => string | undefined,
    private readonly clock: Clock,
  ) {}

  /** Resolves with why the wait was in vain, if so. */
  async wait(deadlineMs: number): Promise<string | undefined> {
    let reason = this.notReady();
    while (reason !== undefined && this.clock.monotonicMs() < deadlineMs) {
      await sleep(this.clock, periodMs);
      reason = this.notReady();
    }
    return reason;
  }
}
