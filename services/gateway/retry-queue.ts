import { HoldfastError, messageOf } from '../domain/error.js';
import { Backoff } from '../runtime/backoff.js';
import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';
import { RateLimitedWarning } from '../runtime/rate-limited-warning.js';

export const maxRetryTasks = 10_000;
/** Of the requests of all tasks, with their Call-IDs. As text it is there once more. */
export const maxRetryBytes = 8 << 20;
const pauses = { firstMs: 500, mostMs: 5000 };
/** rtpengine ends a session without packets after 60 s on its own. */
const deadlineMs = 120_000;

export interface RetryTask {
  /** What it does, for logs: "delete call X on relay Y". */
  readonly purpose: string;
  /** The request that it keeps, if any. */
  readonly request?: { readonly body: Buffer };
  /** Before the first attempt, ms. */
  readonly delayMs?: number;
  /** `canceled`: the attempt found that it must not be made any more. A HoldfastError is as good as `again`. */
  attempt(): Promise<'done' | 'again' | 'canceled'>;
}

export interface RetryQueueDeps {
  readonly clock: Clock;
  readonly log: Logger;
}

/** What is done for calls after their proxy was answered: tried again until it succeeds, within bounds. */
export class RetryQueue {
  readonly #clock: Clock;
  readonly #warning: RateLimitedWarning;
  readonly #log: Logger;
  readonly #all = new Set<Promise<void>>();
  /** End the pauses of tasks. One signal for all would look through as many listeners for each that leaves it. */
  readonly #wakers = new Set<() => void>();
  #bytes = 0;
  #stopped = false;
  /** Since the start, for metrics. `abandoned`: given up, so that something is left on a relay or in the registry. */
  readonly counters = { retried: 0, canceled: 0, abandoned: 0 };

  constructor({ clock, log }: RetryQueueDeps) {
    this.#clock = clock;
    this.#log = log;
    this.#warning = new RateLimitedWarning('abandoned what was put off', clock, log);
  }

  get size(): number {
    return this.#all.size;
  }

  schedule(task: RetryTask): void {
    const bytes = bytesOf(task);
    if (this.#stopped || this.#all.size >= maxRetryTasks || this.#bytes + bytes > maxRetryBytes) {
      this.#abandon(task, this.#stopped ? 'this replica stops' : `${this.#all.size} others wait`);
      return;
    }
    this.#bytes += bytes;
    const over = this.#run(task).then(() => {
      this.#bytes -= bytes;
      this.#all.delete(over);
    });
    this.#all.add(over);
  }

  /** Resolves when the attempts under way have ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const wake of this.#wakers) {
      wake();
    }
    await Promise.all(this.#all);
  }

  async #run(task: RetryTask): Promise<void> {
    if (task.delayMs) {
      await this.#pause(task.delayMs);
    }
    const untilMs = this.#clock.monotonicMs() + deadlineMs;
    const backoff = new Backoff(pauses, this.#clock);
    for (let attempts = 0; !this.#stopped; attempts++) {
      if (attempts > 0) {
        this.counters.retried++;
      }
      const { outcome, reason } = await this.#attempt(task);
      if (outcome === 'done') {
        return;
      }
      if (outcome === 'canceled') {
        this.counters.canceled++;
        return;
      }
      if (outcome === 'failed' || this.#clock.monotonicMs() >= untilMs) {
        this.#abandon(task, reason);
        return;
      }
      await this.#pause(backoff.next());
    }
    this.#abandon(task, 'this replica stops');
  }

  /** Or until this queue stops, which it may have done during the attempt. */
  async #pause(delayMs: number): Promise<void> {
    if (this.#stopped) {
      return;
    }
    await new Promise<void>((resolve) => {
      const wake = () => {
        this.#wakers.delete(wake);
        cancel();
        resolve();
      };
      const cancel = this.#clock.after(delayMs, wake);
      this.#wakers.add(wake);
    });
  }

  async #attempt(task: RetryTask): Promise<{ outcome: Outcome; reason: string }> {
    try {
      return { outcome: await task.attempt(), reason: 'no answer' };
    } catch (error) {
      const reason = messageOf(error);
      if (error instanceof HoldfastError) {
        return { outcome: 'again', reason };
      }
      this.#log.error({ err: error, task: task.purpose }, 'an attempt failed');
      return { outcome: 'failed', reason };
    }
  }

  #abandon({ purpose }: RetryTask, reason: string): void {
    this.counters.abandoned++;
    this.#warning.warn({ task: purpose, reason });
  }
}

/** The purpose names the call, in up to two bytes for a character. */
function bytesOf({ purpose, request }: RetryTask): number {
  return 2 * purpose.length + (request?.body.length ?? 0);
}

type Outcome = 'done' | 'again' | 'canceled' | 'failed';
