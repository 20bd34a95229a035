import type { ByteString } from './byte-string.js';
import type { LeaseId } from './version.js';

export interface Lease {
  readonly id: LeaseId;
  readonly ttlSeconds: number;
  readonly keys: Set<ByteString>;
  expiresAtMs: number;
  /** Its index in the expiry queue; -1 when it is not queued. */
  queueIndex: number;
}

/** The leases that exist, and the keys attached to them. */
export class LeaseTable {
  readonly #leases = new Map<LeaseId, Lease>();

  get size(): number {
    return this.#leases.size;
  }

  get(id: LeaseId): Lease | undefined {
    return this.#leases.get(id);
  }

  has(id: LeaseId): boolean {
    return this.#leases.has(id);
  }

  add(lease: Lease): void {
    this.#leases.set(lease.id, lease);
  }

  remove(id: LeaseId): void {
    this.#leases.delete(id);
  }

  all(): Lease[] {
    return [...this.#leases.values()];
  }

  attach(id: LeaseId, key: ByteString): void {
    this.#leases.get(id)?.keys.add(key);
  }

  detach(id: LeaseId, key: ByteString): void {
    this.#leases.get(id)?.keys.delete(key);
  }
}
