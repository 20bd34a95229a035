import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';

/** A change of etcd's leader, or a member that restarts, is over by then. */
const graceMs = 2000;
/** An outage has ended once nothing has failed for this long: when one part gives up, the next one notices a moment later. */
const calmMs = 1000;

type Details = Readonly<Record<string, unknown>>;

/**
 * Many parts of a process notice one outage of etcd, each in its way. It is logged once, when it has lasted for a moment, and
 * once when it has ended; the rest is for `debug`.
 */
export class OutageLog {
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #failing = new Set<object>();
  /** Of the first failure; undefined while there is no outage. */
  #sinceMs: number | undefined;
  #first: Details = {};
  #isAnnounced = false;
  /** Another part of the process logs this outage. */
  #isTold = false;
  #cancelGrace = () => {};
  #cancelCalm = () => {};

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock;
    this.#log = log;
  }

  /** Whether what fails now is likely to fail because etcd is away. */
  get isOn(): boolean {
    return this.#sinceMs !== undefined || this.#isTold;
  }

  /** A part of the process gets no answer. @param part any object, the same when it has `recovered` */
  failed(part: object, details: Details): void {
    this.#log.debug(details, 'no answer from etcd');
    this.#failing.add(part);
    this.#cancelCalm();
    if (this.#sinceMs === undefined) {
      this.#sinceMs = this.#clock.monotonicMs();
      this.#first = details;
      this.#await();
    }
  }

  /** It has its answer, or does not ask any more. */
  recovered(part: object): void {
    if (this.#failing.delete(part) && this.#failing.size === 0) {
      const endedAtMs = this.#clock.monotonicMs();
      this.#cancelCalm = this.#clock.after(calmMs, () => this.#end(endedAtMs));
    }
  }

  /** Somebody else logs that etcd is lost, or that it is back. What still fails a moment after that is an outage of its own. */
  told(isLost: boolean): void {
    this.#isTold = isLost;
    this.#cancelGrace();
    if (!isLost && this.#failing.size > 0 && !this.#isAnnounced) {
      this.#await();
    }
  }

  /** Logs a consequence: a warning, unless it is one of an outage, which has its line. */
  consequence(log: Logger, details: Details, message: string): void {
    log[this.isOn ? 'debug' : 'warn'](details, message);
  }

  #await(): void {
    this.#cancelGrace = this.#clock.after(graceMs, () => {
      if (!this.#isTold && this.#failing.size > 0) {
        this.#isAnnounced = true;
        this.#log.warn(this.#first, 'cannot reach etcd; trying again');
      }
    });
  }

  #end(endedAtMs: number): void {
    this.#cancelGrace();
    if (this.#isAnnounced) {
      const lostForMs = Math.round(endedAtMs - (this.#sinceMs ?? endedAtMs));
      this.#log.info({ lostForMs }, 'etcd answers again');
    }
    this.#isAnnounced = false;
    this.#sinceMs = undefined;
  }
}
