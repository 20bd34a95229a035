import type { Version } from './version.js';

/** Past versions in the order they were written, from which watchers catch up. */
export class EventLog {
  /** Entries before #start have been dropped; they are removed in bulk. */
  #entries: (Version | undefined)[] = [];
  #start = 0;

  get length(): number {
    return this.#entries.length - this.#start;
  }

  at(index: number): Version | undefined {
    return this.#entries[this.#start + index];
  }

  append(version: Version): void {
    this.#entries.push(version);
  }

  /** The index of the first entry with modRevision >= revision. */
  indexOf(revision: number): number {
    let low = this.#start;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#entries[middle] as Version).modRevision < revision) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low - this.#start;
  }

  dropFirst(count: number): void {
    this.#entries.fill(undefined, this.#start, this.#start + count);
    this.#start += count;
    if (this.#start > 1024 && this.#start > this.#entries.length >> 1) {
      this.#entries = this.#entries.slice(this.#start);
      this.#start = 0;
    }
  }
}
