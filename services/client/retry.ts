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

  constructor(servers: Servers, attempts: number) {
    this.#servers = servers;
    this.#attempts = attempts;
  }

  /**
   * After UNAVAILABLE or DEADLINE_EXCEEDED the next server is tried at once. When all have been tried, there is a pause:
   * as long as the last one asks for, and no shorter than the backoff. A server that fails most requests is sent no retries.
   * @throws HoldfastRpcError of the last attempt; CANCELLED once the client is closed
   */
  async run<T>(attempt: (server: Server) => Promise<T>): Promise<T> {
    const pauses = new Backoff(backoff, clock);
    const tried = new Set<Server>();
    let server = this.#servers.next();
    for (let count = 1; ; count++) {
      try {
        const response = await attempt(server);
        server.retries.succeeded();
        return response;
      } catch (error) {
        if (!isRetryable(error)) {
          throw error;
        }
        server.retries.failed();
        if (count >= this.#attempts || !this.#servers.allowRetry) {
          throw error;
        }
        tried.add(server);
        let next = this.#servers.untried(tried);
        if (!next) {
          tried.clear();
          const { closing } = this.#servers;
          await Promise.all([pauses.pause(closing), sleep(clock, error.retryDelayMs ?? 0, closing)]);
          next = this.#servers.untried(tried);
        }
        if (!next) {
          throw error;
        }
        server = next;
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
