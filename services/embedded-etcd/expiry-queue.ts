import type { Lease } from './lease-table.js';

/**
 * Leases by expiry: a binary heap in which each lease knows its index, so that a revoked lease is removed at once and a
 * renewed one only moves.
 */
export class ExpiryQueue {
  readonly #heap: Lease[] = [];

  get first(): Lease | undefined {
    return this.#heap[0];
  }

  add(lease: Lease): void {
    this.#place(lease, this.#heap.length);
    this.#rise(lease);
  }

  /** To be called after `expiresAtMs` changed. */
  moved(lease: Lease): void {
    this.#rise(lease);
    this.#sink(lease);
  }

  remove(lease: Lease): void {
    const index = lease.queueIndex;
    if (index < 0) {
      return;
    }
    lease.queueIndex = -1;
    const last = this.#heap.pop();
    if (!last || last === lease) {
      return;
    }
    this.#place(last, index);
    this.moved(last);
  }

  #place(lease: Lease, index: number): void {
    this.#heap[index] = lease;
    lease.queueIndex = index;
  }

  #rise(lease: Lease): void {
    while (lease.queueIndex > 0) {
      const parentIndex = (lease.queueIndex - 1) >> 1;
      const parent = this.#heap[parentIndex] as Lease;
      if (parent.expiresAtMs <= lease.expiresAtMs) {
        return;
      }
      this.#place(parent, lease.queueIndex);
      this.#place(lease, parentIndex);
    }
  }

  #sink(lease: Lease): void {
    for (;;) {
      const left = 2 * lease.queueIndex + 1;
      let child = this.#heap[left];
      const right = this.#heap[left + 1];
      if (right && child && right.expiresAtMs < child.expiresAtMs) {
        child = right;
      }
      if (!child || child.expiresAtMs >= lease.expiresAtMs) {
        return;
      }
      const index = child.queueIndex;
      this.#place(child, lease.queueIndex);
      this.#place(lease, index);
    }
  }
}
