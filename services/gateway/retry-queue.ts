import type { Call } from '../domain/call.js';
import { type Clock, sleep } from '../runtime/clock.js';

/** More would be a relay that is silent for good: its sessions time out. */
const maxDebts = 10_000;
const retryMs = { first: 500, most: 5000 };
/** rtpengine ends a session without packets after 60 s by itself. */
const retryDeadlineMs = 120_000;
/** A call that begins again waits this long for what is just being paid. */
const cancelTimeoutMs = 200;

interface QueuedRetry {
  readonly ended: AbortController;
  readonly paid: Promise<void>;
}

/** What is done for calls after their proxy was answered: tried again until it succeeds, within bounds. */
export class RetryQueue {
  readonly #clock: Clock;
  readonly #all = new Set<QueuedRetry>();
  readonly #byCall = new Map<string, Set<QueuedRetry>>();
  #stopped = false;
  /** Since the start, for metrics. */
  readonly counters = { retried: 0, abandoned: 0 };

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#all.size;
  }

  /**
   * Calls `attempt` until it returns true.
   * @param call whose end it belongs to: void if the call begins again
   */
  schedule(call: Call | undefined, attempt: () => Promise<boolean>, delayMs = 0): void {
    if (this.#stopped || this.#all.size >= maxDebts) {
      this.counters.abandoned++;
      return;
    }
    const ended = new AbortController();
    const ofCall = call && (this.#byCall.get(call.key) ?? new Set());
    const paid = this.#pay(attempt, delayMs, ended.signal).then(() => {
      this.#all.delete(debt);
      ofCall?.delete(debt);
      if (call && ofCall?.size === 0) {
        this.#byCall.delete(call.key);
      }
    });
    const debt: QueuedRetry = { ended, paid };
    this.#all.add(debt);
    if (call && ofCall) {
      this.#byCall.set(call.key, ofCall.add(debt));
    }
  }

  /** The call begins again. Resolves when nothing of its end is under way any more, or it has been too long. */
  async cancel(call: Call): Promise<void> {
    const retries = this.#byCall.get(call.key);
    if (!retries) {
      return;
    }
    for (const { ended } of retries) {
      ended.abort();
    }
    const settled = Promise.all([...retries].map(({ paid }) => paid));
    await Promise.race([settled, sleep(this.#clock, cancelTimeoutMs)]);
  }

  /** Resolves when the attempts under way have ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const { ended } of this.#all) {
      ended.abort();
    }
    await Promise.all([...this.#all].map(({ paid }) => paid));
  }

  async #pay(attempt: () => Promise<boolean>, delayMs: number, ended: AbortSignal): Promise<void> {
    if (delayMs > 0) {
      await sleep(this.#clock, delayMs, ended);
    }
    const startedAtMs = this.#clock.monotonicMs();
    for (let pauseMs = retryMs.first; !ended.aborted; pauseMs = Math.min(retryMs.most, pauseMs * 2)) {
      if (await attempt().catch(() => false)) {
        return;
      }
      if (this.#clock.monotonicMs() - startedAtMs > retryDeadlineMs) {
        break;
      }
      await sleep(this.#clock, pauseMs, ended);
      if (!ended.aborted) {
        this.counters.retried++;
      }
    }
    this.counters.abandoned++;
  }
}
