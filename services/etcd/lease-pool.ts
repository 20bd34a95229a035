import type { Clock } from '../runtime/clock.js';
import type { EtcdConnection } from './connection.js';
import { etcdUnavailable } from './errors.js';

/** More keys on one lease make puts slow and stall etcd when they all expire. */
const maxKeys = 1000;
const maxAgeMs = 60_000;
const maxAgeShare = 0.05;

interface Bucket {
  readonly lease: string;
  /** By the monotonic clock, taken before the lease was asked for. */
  readonly grantedAtMs: number;
  keys: number;
}

/**
 * Leases shared by many keys and never kept alive. One lease per call would cost etcd a second log entry per call;
 * one for all calls would be too large. A bucket takes keys while it is young, and is granted for the wanted
 * lifetime plus that youth: each of its keys lives at least as long as was wanted.
 */
export class LeasePool {
  readonly #lines = new Map<number, Line>();

  constructor(
    private readonly connection: EtcdConnection,
    private readonly clock: Clock,
  ) {}

  /**
   * @param lifetimeSeconds how long the key must live at least, from now
   * @returns the id of a lease to put it on: at once, unless a new one has to be granted first
   * @throws HoldfastError `unavailable` if a new lease is needed and etcd grants none
   */
  take(lifetimeSeconds: number): string | Promise<string> {
    const seconds = roundUp(lifetimeSeconds);
    let line = this.#lines.get(seconds);
    if (!line) {
      line = new Line(this.connection, this.clock, seconds);
      this.#lines.set(seconds, line);
    }
    return line.take();
  }

  /** etcd does not know this lease any more: it is given out no longer. Of many who tell, the first is enough. */
  forget(lease: string): void {
    for (const [seconds, line] of this.#lines) {
      if (line.has(lease)) {
        this.#lines.delete(seconds);
      }
    }
  }
}

/** The buckets of one lifetime, one after the other. */
class Line {
  readonly #connection: EtcdConnection;
  readonly #clock: Clock;
  readonly #lifetimeSeconds: number;
  readonly #maxAgeMs: number;
  #current: Bucket | undefined;
  #next: Bucket | undefined;
  #granting: Promise<void> | undefined;

  constructor(connection: EtcdConnection, clock: Clock, lifetimeSeconds: number) {
    this.#connection = connection;
    this.#clock = clock;
    this.#lifetimeSeconds = lifetimeSeconds;
    this.#maxAgeMs = Math.min(maxAgeMs, Math.max(1000, lifetimeSeconds * 1000 * maxAgeShare));
  }

  has(lease: string): boolean {
    return this.#current?.lease === lease || this.#next?.lease === lease;
  }

  take(): string | Promise<string> {
    const bucket = this.#open();
    if (!bucket) {
      return this.#grant().then(() => this.take());
    }
    bucket.keys++;
    // The next lease is asked for early, so that no call waits for it while calls keep coming.
    if (bucket.keys === maxKeys / 2) {
      void this.#grant().catch(() => undefined);
    }
    return bucket.lease;
  }

  #open(): Bucket | undefined {
    if (!this.#takesKeys(this.#current)) {
      this.#current = this.#next;
      this.#next = undefined;
    }
    return this.#takesKeys(this.#current) ? this.#current : undefined;
  }

  #takesKeys(bucket: Bucket | undefined): bucket is Bucket {
    return (
      bucket !== undefined &&
      bucket.keys < maxKeys &&
      this.#clock.monotonicMs() - bucket.grantedAtMs < this.#maxAgeMs
    );
  }

  #grant(): Promise<void> {
    this.#granting ??= this.#grantNext().finally(() => {
      this.#granting = undefined;
    });
    return this.#granting;
  }

  async #grantNext(): Promise<void> {
    const grantedAtMs = this.#clock.monotonicMs();
    try {
      const seconds = this.#lifetimeSeconds + Math.ceil(this.#maxAgeMs / 1000);
      this.#next = { lease: await this.#connection.grantLease(seconds), grantedAtMs, keys: 0 };
    } catch (error) {
      throw etcdUnavailable('granting a lease', error);
    }
  }
}

/**
 * Up by at most an eighth, so that callers who each want another lifetime share a bounded number of buckets: eight
 * for each doubling.
 */
export function roundUp(seconds: number): number {
  const step = 2 ** Math.max(0, Math.floor(Math.log2(Math.max(1, seconds))) - 3);
  return Math.ceil(seconds / step) * step;
}
