import { messageOf } from '../domain/error.js';
import { type Clock, sleep } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';
import { RateLimitedWarning } from '../runtime/rate-limited-warning.js';
import type { EtcdConnection } from './connection.js';

export interface MemberFollowerDeps {
  readonly connection: EtcdConnection;
  readonly clock: Clock;
  readonly log: Logger;
}

const periodMs = 1000;
const warningPeriodMs = 30_000;

/** Keeps a connection with the members that etcd has now, and tells operators of endpoints that are of another cluster. */
export class MemberFollower {
  readonly #deps: MemberFollowerDeps;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;

  constructor(deps: MemberFollowerDeps) {
    this.#deps = deps;
    const { connection, clock, log } = deps;
    const message = 'an endpoint is of another etcd cluster; its answers are refused';
    const stranger = new RateLimitedWarning(message, clock, log, warningPeriodMs);
    connection.onStranger(({ endpoint, clusterId, expectedId }) =>
      stranger.warn({ endpoint, cluster: clusterId, inUse: expectedId }),
    );
  }

  /** Begins; returns at once. */
  start(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { connection, clock, log } = this.#deps;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await connection.follow().catch((error) => {
        // Those who need etcd say so; the next time it is asked elsewhere.
        log.debug({ reason: messageOf(error) }, 'etcd did not say who its members are');
      });
      await sleep(clock, periodMs, signal);
    }
  }
}
