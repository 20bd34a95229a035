import { messageOf } from '../domain/error.js';
import { type Clock, sleep } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';
import type { EtcdConnection } from './connection.js';

/**
 * A lease that is kept alive for as long as its process renews it. `done` resolves, with the reason, when the
 * session has ended: it was closed, etcd does not know the lease, or it could not be renewed in time. «In time» is by
 * the monotonic clock from when the last answered keepalive was *sent*, and ends a margin before etcd's own count
 * can: whoever holds the session stops in time, not some seconds after the world has moved on.
 */
export class LeaseSession {
  readonly done: Promise<string>;
  readonly #stopping = new AbortController();
  readonly #connection: EtcdConnection;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #periodMs: number;
  readonly #lifeMs: number;
  /** When the last keepalive that etcd answered was sent. */
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
    this.#connection = deps.connection;
    this.#clock = deps.clock;
    this.#log = deps.log;
    this.#periodMs = (ttlSeconds * 1000) / 4;
    this.#lifeMs = ttlSeconds * 1000 * 0.9;
    this.#renewedAtMs = grantedAtMs;
    this.done = new Promise((resolve) => {
      this.#end = (reason) => {
        this.#stopping.abort();
        this.#cancelWatchdog();
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

  /** True once `done` is about to resolve. */
  get ended(): boolean {
    return this.#stopping.signal.aborted;
  }

  /** Ms until this session gives itself up, unless it is renewed before. */
  get remainingMs(): number {
    return this.#renewedAtMs + this.#lifeMs - this.#clock.monotonicMs();
  }

  /** Revokes the lease, so that what hangs on it goes at once. Best effort: otherwise it expires. */
  close(): Promise<void> {
    this.#closing ??= this.#revoke();
    return this.#closing;
  }

  async #revoke(): Promise<void> {
    this.#end('closed');
    await this.#connection.revokeLease(this.lease).catch((error) => {
      this.#log.warn({ reason: messageOf(error), lease: this.lease }, 'lease not revoked; it will expire');
    });
  }

  #watchdog(): void {
    if (this.#stopping.signal.aborted) {
      return;
    }
    const remaining = this.remainingMs;
    if (remaining <= 0) {
      this.#end('it could not be renewed in time');
    } else {
      this.#cancelWatchdog = this.#clock.after(remaining, () => this.#watchdog());
    }
  }

  /** One stream after the other, until the session ends. */
  async #keepAlive(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        await this.#renewOverOneStream();
      } catch (error) {
        if (signal.aborted) {
          return;
        }
        this.#log.warn(
          { reason: messageOf(error), remainingMs: this.remainingMs },
          'lease not renewed; trying again',
        );
        await sleep(this.#clock, this.#periodMs / 5, signal);
      }
    }
  }

  /** @throws when the stream broke, or etcd was silent for a period */
  async #renewOverOneStream(): Promise<void> {
    const stream = await this.#connection.keepLeaseAlive();
    const over = new AbortController();
    let failure: Error | undefined;
    const fail = (error: Error) => {
      failure ??= error;
      over.abort();
    };
    const stop = () => over.abort();
    this.#stopping.signal.addEventListener('abort', stop, { once: true });
    let hear: (ttlSeconds: number) => void = () => {};
    stream.on('error', fail);
    stream.on('end', () => fail(new Error('etcd ended the keepalive')));
    stream.on('data', ({ TTL }) => hear(Number(TTL)));
    try {
      while (!over.signal.aborted && !this.#stopping.signal.aborted) {
        const sentAtMs = this.#clock.monotonicMs();
        const answer = new Promise<number | undefined>((resolve) => {
          hear = resolve;
          void sleep(this.#clock, this.#periodMs, over.signal).then(() => resolve(undefined));
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
        await sleep(this.#clock, sentAtMs + this.#periodMs - this.#clock.monotonicMs(), over.signal);
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

export interface LeaseSessionDeps {
  readonly connection: EtcdConnection;
  readonly clock: Clock;
  readonly log: Logger;
}
