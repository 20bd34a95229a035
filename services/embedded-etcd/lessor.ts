import { randomBytes } from 'node:crypto';
import type { Clock } from '../runtime/clock.js';
import { leaseExists, leaseNotFound, leaseTtlTooLarge } from './errors.js';
import { ExpiryQueue } from './expiry-queue.js';
import type { Keyspace } from './keyspace.js';
import type { Lease, LeaseTable } from './lease-table.js';
import { type LeaseId, noLease } from './version.js';

/** etcd raises shorter TTLs to one and a half of its default election timeout of 1 s, in whole seconds. */
const minTtlSeconds = 2;
const maxTtlSeconds = 9_000_000_000;
/** Node fires timers beyond 2^31 ms at once; an hour is far below. */
const maxTimerMs = 3_600_000;
/** Bounds of one turn of the event loop, so that a hundred thousand expiries at once do not stall everything else. */
const maxKeysPerTurn = 1000;
const maxLeasesPerTurn = 500;

/** Grants, renews, revokes and expires leases. Expiry deletes all keys of a lease in one revision. */
export class Lessor {
  readonly #keyspace: Keyspace;
  readonly #table: LeaseTable;
  readonly #clock: Clock;
  readonly #queue = new ExpiryQueue();
  #cancelTimer: (() => void) | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #stopped = false;

  constructor(keyspace: Keyspace, table: LeaseTable, clock: Clock) {
    this.#keyspace = keyspace;
    this.#table = table;
    this.#clock = clock;
  }

  grant(id: LeaseId, ttlSeconds: number): Lease {
    if (ttlSeconds > maxTtlSeconds) {
      throw leaseTtlTooLarge();
    }
    const chosen = id === noLease ? this.#chooseId() : id;
    if (this.#table.has(chosen)) {
      throw leaseExists();
    }
    const ttl = Math.max(ttlSeconds, minTtlSeconds);
    const expiresAtMs = this.#clock.monotonicMs() + ttl * 1000;
    const lease: Lease = { id: chosen, ttlSeconds: ttl, keys: new Set(), expiresAtMs, queueIndex: -1 };
    this.#table.add(lease);
    this.#queue.add(lease);
    this.#schedule();
    return lease;
  }

  revoke(id: LeaseId): void {
    const lease = this.#table.get(id);
    if (!lease) {
      throw leaseNotFound();
    }
    this.#end(lease);
  }

  /** The renewed lease, or undefined if it does not exist or has expired. */
  renew(id: LeaseId): Lease | undefined {
    const lease = this.#table.get(id);
    if (!lease || lease.expiresAtMs <= this.#clock.monotonicMs()) {
      return undefined;
    }
    lease.expiresAtMs = this.#clock.monotonicMs() + lease.ttlSeconds * 1000;
    this.#queue.moved(lease);
    return lease;
  }

  find(id: LeaseId): Lease | undefined {
    return this.#table.get(id);
  }

  remainingSeconds(lease: Lease): number {
    return Math.max(0, Math.floor((lease.expiresAtMs - this.#clock.monotonicMs()) / 1000));
  }

  byExpiry(): Lease[] {
    return this.#table.all().sort((a, b) => a.expiresAtMs - b.expiresAtMs);
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }

  #chooseId(): LeaseId {
    for (;;) {
      const id = randomBytes(8).readBigInt64BE() & 0x7fff_ffff_ffff_ffffn;
      if (id !== noLease && !this.#table.has(id)) {
        return id;
      }
    }
  }

  #end(lease: Lease): void {
    this.#queue.remove(lease);
    // In key order, as etcd does, so that watchers see the same sequence.
    const keys = [...lease.keys].sort();
    this.#table.remove(lease.id);
    this.#keyspace.write((writer) => {
      for (const key of keys) {
        writer.delete({ from: key, to: undefined });
      }
    });
  }

  #schedule(): void {
    const first = this.#queue.first;
    if (!first || this.#stopped) {
      return;
    }
    const nowMs = this.#clock.monotonicMs();
    const atMs = Math.min(first.expiresAtMs, nowMs + maxTimerMs);
    if (atMs >= this.#timerAtMs) {
      return;
    }
    this.#cancelTimer?.();
    this.#timerAtMs = atMs;
    // Timers may fire a fraction early; a whole millisecond more keeps the TTL a minimum.
    this.#cancelTimer = this.#clock.after(Math.max(1, Math.ceil(atMs - nowMs) + 1), () => this.#expire());
  }

  #expire(): void {
    this.#timerAtMs = Number.POSITIVE_INFINITY;
    this.#cancelTimer = undefined;
    let keys = 0;
    for (let ended = 0; ended < maxLeasesPerTurn && keys < maxKeysPerTurn; ended++) {
      const lease = this.#queue.first;
      if (!lease || lease.expiresAtMs > this.#clock.monotonicMs()) {
        break;
      }
      keys += lease.keys.size;
      this.#end(lease);
    }
    this.#schedule();
  }
}
