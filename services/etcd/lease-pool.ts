import type { Clock } from '../runtime/clock.js';
import type { EtcdConnection } from './connection.js';
import { etcdUnavailable } from './errors.js';

/** More keys on one lease would make puts slow, and stall etcd when they all expire. */
const maxKeys = 1000;
/** How long a bucket takes keys: this, or a share of the lifetime of its keys if that is less. */
const maxAgeMs = 60_000;
const maxAgeShare = 0.05;

/** A lease that several keys share. */
interface Bucket {
  readonly lease: string;
  /** By the monotonic clock, read before the request for the lease was sent. */
  readonly grantedAtMs: number;
  keys: number;
}

/**
 * Leases that many keys share, and that are never kept alive. One lease per call would cost etcd a second log entry per
 * call; one lease for all calls would be too large. A lease is granted for the lifetime of its keys plus the time
 * during which it takes keys, so that each key lives at least as long as was requested.
 */
export class LeasePool {
  /** By the lifetime of the keys, s. */
  readonly #sequences = new Map<number, BucketSequence>();

  constructor(
    private readonly connection: EtcdConnection,
    private readonly clock: Clock,
  ) {}

  /**
   * @param lifetimeSeconds how long the key must live at least from now
   * @returns the id of a lease for it: at once, unless a new one has to be granted first
   * @throws HoldfastError `unavailable` if a new lease is needed and etcd grants none
   */
  take(lifetimeSeconds: number): string | Promise<string> {
    const seconds = roundUp(lifetimeSeconds);
    let sequence = this.#sequences.get(seconds);
    if (!sequence) {
      sequence = new BucketSequence(this.connection, this.clock, seconds);
      this.#sequences.set(seconds, sequence);
    }
    return sequence.take();
  }

  /** etcd does not know this lease any more: no key gets it from now on. Repetitions have no effect. */
  forget(lease: string): void {
    for (const [seconds, sequence] of this.#sequences) {
      if (sequence.has(lease)) {
        this.#sequences.delete(seconds);
      }
    }
  }
}

/** The buckets for keys of one lifetime, one after the other. */
class BucketSequence {
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
    // The next lease is requested early, so that no call waits for it while calls keep coming.
    if (bucket.keys === maxKeys / 2) {
      // If it fails, the take that needs the lease tries again and gets the error.
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

/** Up by at most an eighth, so that any number of lifetimes shares few buckets: eight for each doubling. */
export function roundUp(seconds: number): number {
  const step = 2 ** Math.max(0, Math.floor(Math.log2(Math.max(1, seconds))) - 3);
  return Math.ceil(seconds / step) * step;
}
