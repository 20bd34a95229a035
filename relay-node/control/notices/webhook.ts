import { Backoff } from '../../../services/runtime/backoff.js';
import type { Clock } from '../../../services/runtime/clock.js';
import type { Logger } from '../../../services/runtime/log.js';
import { RateLimitedWarning } from '../../../services/runtime/rate-limited-warning.js';
import type { Notice } from './notice.js';

export interface WebhookDeps {
  readonly url: string;
  readonly clock: Clock;
  readonly log: Logger;
}

export const webhookLimits = { waiting: 1000, attempts: 3, timeoutMs: 3000 };
const pauses = { firstMs: 200, mostMs: 2000 };
const warningPeriodMs = 60_000;

/** POSTs notices as JSON, one after the other, so that they arrive in their order. Whoever tells one waits for nothing. */
export class Webhook {
  readonly counters = { sent: 0, dropped: 0, failed: 0 };
  readonly #url: string;
  readonly #clock: Clock;
  readonly #warning: RateLimitedWarning;
  readonly #waiting: Notice[] = [];
  readonly #stopping = new AbortController();
  #isBusy = false;

  constructor({ url, clock, log }: WebhookDeps) {
    this.#url = url;
    this.#clock = clock;
    this.#warning = new RateLimitedWarning('the webhook hears nothing', clock, log, warningPeriodMs);
  }

  /** Never throws. */
  tell(notice: Notice): void {
    if (this.#stopping.signal.aborted || this.#waiting.length >= webhookLimits.waiting) {
      this.counters.dropped++;
      return;
    }
    this.#waiting.push(notice);
    if (!this.#isBusy) {
      void this.#deliverAll();
    }
  }

  /** What waits is dropped. */
  stop(): void {
    this.#stopping.abort();
    this.counters.dropped += this.#waiting.splice(0).length;
  }

  async #deliverAll(): Promise<void> {
    this.#isBusy = true;
    for (let notice = this.#waiting.shift(); notice; notice = this.#waiting.shift()) {
      const reason = await this.#deliver(notice);
      if (reason === undefined) {
        this.counters.sent++;
      } else {
        this.counters.failed++;
        this.#warning.warn({ url: this.#url, reason });
      }
    }
    this.#isBusy = false;
  }

  /** @returns why nobody has taken it, or undefined */
  async #deliver(notice: Notice): Promise<string | undefined> {
    const backoff = new Backoff(pauses, this.#clock);
    const { signal } = this.#stopping;
    let reason: string | undefined = 'this process stops';
    for (let attempt = 1; attempt <= webhookLimits.attempts && !signal.aborted; attempt++) {
      reason = await this.#post(notice);
      if (reason === undefined) {
        return undefined;
      }
      if (attempt < webhookLimits.attempts) {
        await backoff.pause(signal);
      }
    }
    return reason;
  }

  async #post(notice: Notice): Promise<string | undefined> {
    const timeout = AbortSignal.timeout(webhookLimits.timeoutMs);
    try {
      const response = await fetch(this.#url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(notice),
        // Whoever is asked decides nothing about where this is sent.
        redirect: 'error',
        signal: AbortSignal.any([timeout, this.#stopping.signal]),
      });
      await response.body?.cancel();
      return response.ok ? undefined : `it answers ${response.status}`;
    } catch (error) {
      const { cause, message } = error as Error;
      return cause instanceof Error ? cause.message : message;
    }
  }
}
