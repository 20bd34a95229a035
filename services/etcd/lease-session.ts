import { messageOf } from '../domain/error.js';
import { Backoff } from '../runtime/backoff.js';
import { type Clock, sleep } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';
import type { EtcdConnection } from './connection.js';
import { OutageLog } from './outage-log.js';

export interface LeaseSessionDeps {
  readonly connection: EtcdConnection;
  readonly clock: Clock;
  readonly log: Logger;
  /** Where an outage of etcd is logged; one that is shared logs it once for all. */
  readonly outages?: OutageLog;
}

/** Shares of the TTL: between two keepalives, and until a session that is not renewed ends. */
const periodShare = 0.25;
const lifeShare = 0.9;
/** Shares of the period: between two attempts to open a keepalive stream. */
const retryShare = { first: 0.2, most: 0.5 };

/**
 * A lease that is kept alive as long as its process renews it.
 *
 * `done` resolves with the reason when the session has ended: it was closed, etcd does not know the lease, or it was
 * not renewed in time. That time is counted by the monotonic clock from when the last answered keepalive was *sent*,
 * and is over before etcd's own count can be. So the holder stops in time, not seconds after the world has moved on.
 */
export class LeaseSession {
  readonly done: Promise<string>;
  readonly #deps: LeaseSessionDeps;
  readonly #outages: OutageLog;
  readonly #stopping = new AbortController();
  readonly #periodMs: number;
  readonly #lifeMs: number;
  /** When the last answered keepalive was sent. */
  #renewedAtMs: number;
  #end: (reason: string) => void = () => {};
  #cancelWatchdog = () => {};
  #closing: Promise<void> | undefined;

  private constructor(
    deps: LeaseSessionDeps,
    readonly lease: string,
    ttlSeconds: number,
    grantedAtMs: number,
  ) {
    this.#deps = deps;
    this.#outages = deps.outages ?? new OutageLog(deps.clock, deps.log);
    this.#periodMs = ttlSeconds * 1000 * periodShare;
    this.#lifeMs = ttlSeconds * 1000 * lifeShare;
    this.#renewedAtMs = grantedAtMs;
    this.done = new Promise((resolve) => {
      this.#end = (reason) => {
        this.#stopping.abort();
        this.#cancelWatchdog();
        this.#outages.recovered(this);
        resolve(reason);
      };
    });
    this.#watchdog();
    void this.#keepAlive();
  }

  /** @throws what etcd answered, if it grants no lease */
  static async open(deps: LeaseSessionDeps, ttlSeconds: number): Promise<LeaseSession> {
    const grantedAtMs = deps.clock.monotonicMs();
    const lease = await deps.connection.grantLease(ttlSeconds);
    return new LeaseSession(deps, lease, ttlSeconds, grantedAtMs);
  }

  /** True as soon as the session has ended; `done` resolves a moment later. */
  get ended(): boolean {
    return this.#stopping.signal.aborted;
  }

  /** How long the session lasts unless it is renewed, ms. */
  get remainingMs(): number {
    return this.#renewedAtMs + this.#lifeMs - this.#deps.clock.monotonicMs();
  }

  /** Revokes the lease, so that etcd removes its keys at once. Best effort: if that fails, the lease expires. */
  close(): Promise<void> {
    this.#closing ??= this.#revoke();
    return this.#closing;
  }

  /** Ends the session alone: its keys stay for what is left of the TTL. */
  leave(): void {
    this.#end('left to the next process');
    this.#closing ??= Promise.resolve();
  }

  async #revoke(): Promise<void> {
    const { connection, log } = this.#deps;
    this.#end('closed');
    await connection.revokeLease(this.lease).catch((error) => {
      const details = { reason: messageOf(error), lease: this.lease };
      this.#outages.consequence(log, details, 'lease not revoked; it will expire');
    });
  }

  #watchdog(): void {
    if (this.ended) {
      return;
    }
    const { remainingMs } = this;
    if (remainingMs <= 0) {
      this.#end('it was not renewed in time');
    } else {
      this.#cancelWatchdog = this.#deps.clock.after(remainingMs, () => this.#watchdog());
    }
  }

  /** Opens one stream after the other until the session ends. */
  async #keepAlive(): Promise<void> {
    const { clock } = this.#deps;
    const { signal } = this.#stopping;
    const pause = { firstMs: this.#periodMs * retryShare.first, mostMs: this.#periodMs * retryShare.most };
    const backoff = new Backoff(pause, clock);
    while (!signal.aborted) {
      try {
        await this.#renewOverOneStream(() => {
          backoff.reset();
          this.#outages.recovered(this);
        });
      } catch (error) {
        if (signal.aborted) {
          return;
        }
        const remainingMs = Math.round(this.remainingMs);
        this.#outages.failed(this, { reason: messageOf(error), remainingMs });
        await backoff.pause(signal);
      }
    }
  }

  /** @throws when the stream broke, or etcd did not answer for a period */
  async #renewOverOneStream(onRenewed: () => void): Promise<void> {
    const { connection, clock } = this.#deps;
    const stream = await connection.keepLeaseAlive();
    const over = new AbortController();
    let failure: Error | undefined;
    const fail = (error: Error) => {
      failure ??= error;
      over.abort();
    };
    const stop = () => over.abort();
    this.#stopping.signal.addEventListener('abort', stop, { once: true });
    let onAnswer: (ttlSeconds: number) => void = () => {};
    stream.on('error', fail);
    stream.on('end', () => fail(new Error('etcd ended the keepalive')));
    stream.on('data', ({ TTL }) => onAnswer(Number(TTL)));
    try {
      while (!over.signal.aborted && !this.ended) {
        const sentAtMs = clock.monotonicMs();
        const answer = new Promise<number | undefined>((resolve) => {
          onAnswer = resolve;
          void sleep(clock, this.#periodMs, over.signal).then(() => resolve(undefined));
        });
        stream.write({ ID: this.lease });
        const ttlSeconds = await answer;
        if (over.signal.aborted) {
          break;
        }
        if (ttlSeconds === undefined) {
          throw new Error('no answer to a keepalive');
        }
        if (ttlSeconds <= 0) {
          return this.#end('etcd does not know the lease any more');
        }
        this.#renewedAtMs = sentAtMs;
        onRenewed();
        await sleep(clock, sentAtMs + this.#periodMs - clock.monotonicMs(), over.signal);
      }
    } finally {
      over.abort();
      this.#stopping.signal.removeEventListener('abort', stop);
      stream.cancel();
    }
    if (failure) {
      throw failure;
    }
  }
}
