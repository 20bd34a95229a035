import { HoldfastError, messageOf } from '../domain/error.js';
import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';
import { RateLimitedWarning } from '../runtime/rate-limited-warning.js';
import { type FrontMetrics, type RefusalCause, refusalCauseOf } from './front-metrics.js';

export interface RefusedCallsDeps {
  readonly metrics: FrontMetrics;
  readonly clock: Clock;
  readonly log: Logger;
}

const message = 'call refused';

/** Calls that a front refuses: all are counted by their cause, and one a second of each cause is logged. */
export class RefusedCalls {
  readonly #deps: RefusedCallsDeps;
  readonly #warnings = new Map<RefusalCause, RateLimitedWarning>();

  constructor(deps: RefusedCallsDeps) {
    this.#deps = deps;
  }

  add(cause: RefusalCause, details: Readonly<Record<string, unknown>>): void {
    const { metrics, clock, log } = this.#deps;
    metrics.countRefusal(cause);
    if (cause === 'unavailable') {
      // An outage of etcd has a line of its own.
      log.debug({ cause, ...details }, message);
      return;
    }
    let warning = this.#warnings.get(cause);
    if (!warning) {
      warning = new RateLimitedWarning(message, clock, log);
      this.#warnings.set(cause, warning);
    }
    warning.warn({ cause, ...details });
  }

  /** One for which the selector threw this. A request that was malformed is no call. */
  addThrown(error: unknown, details: Readonly<Record<string, unknown>>): void {
    const isMalformed = error instanceof HoldfastError && error.code === 'invalid-argument';
    if (!isMalformed) {
      this.add(refusalCauseOf(error), { ...details, reason: messageOf(error) });
    }
  }
}
