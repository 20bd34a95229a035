import { status } from '@grpc/grpc-js';
import { Backoff } from '../runtime/backoff.js';
import { type Clock, sleep, systemClock } from '../runtime/clock.js';
import { HoldfastRpcError } from './rpc-error.js';
import type { Server, Servers } from './servers.js';

const backoff = { firstMs: 20, mostMs: 200 };

/** With timers that keep the process alive, unlike `systemClock`: somebody waits for the response. */
const clock: Clock = {
  ...systemClock,
  after(delayMs, task) {
    const timer = setTimeout(task, delayMs);
    return () => clearTimeout(timer);
  },
};

/** Tries the servers in turn until one answers. Every method may be repeated at any server. */
export class Retry {
  readonly #servers: Servers;
  readonly #attempts: number;
  readonly #budget = new RetryBudget();

  constructor(servers: Servers, attempts: number) {
    this.#servers = servers;
    this.#attempts = attempts;
  }

  /**
   * After UNAVAILABLE or DEADLINE_EXCEEDED the next server is tried at once. When all have been tried, there is a pause:
   * as long as the last one asks for, and no shorter than the backoff.
   * @throws HoldfastRpcError of the last attempt
   */
  async run<T>(attempt: (server: Server) => Promise<T>): Promise<T> {
    const pauses = new Backoff(backoff, clock);
    const tried = new Set<Server>();
    for (let count = 1; ; count++) {
      const server = this.#servers.next(tried);
      try {
        const response = await attempt(server);
        this.#budget.refill();
        return response;
      } catch (error) {
        if (!isRetryable(error)) {
          throw error;
        }
        if (!this.#budget.spend() || count >= this.#attempts) {
          throw error;
        }
        tried.add(server);
        if (tried.size === this.#servers.length) {
          tried.clear();
          await Promise.all([pauses.pause(), sleep(clock, error.retryDelayMs ?? 0)]);
        }
      }
    }
  }
}

function isRetryable(error: unknown): error is HoldfastRpcError {
  return (
    error instanceof HoldfastRpcError &&
    (error.code === status.UNAVAILABLE || error.code === status.DEADLINE_EXCEEDED)
  );
}

const maxTokens = 100;
const tokensPerSuccess = 0.1;

/**
 * Keeps retries from multiplying the load on servers that fail most requests: each failure costs a token, each success
 * earns a tenth of one, and no retry is made while no more than half are left (gRFC A6, "Throttling Retry Attempts").
 */
class RetryBudget {
  #tokens = maxTokens;

  refill(): void {
    this.#tokens = Math.min(maxTokens, this.#tokens + tokensPerSuccess);
  }

  /** @returns whether a retry is allowed */
  spend(): boolean {
    this.#tokens = Math.max(0, this.#tokens - 1);
    return this.#tokens > maxTokens / 2;
  }
}
