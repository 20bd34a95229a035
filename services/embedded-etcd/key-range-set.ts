import type { ByteString } from './byte-string.js';

/**
 * A union of key ranges as sorted, disjoint spans, so that a lookup is a binary search: one hostile transaction can name
 * tens of thousands of ranges.
 */
export class KeyRangeSet {
  readonly #froms: ByteString[] = [];
  /** The ends, exclusive; '' is no end. */
  readonly #tos: ByteString[] = [];

  add(from: ByteString, to: ByteString): void {
    let first = this.#spanAtOrBefore(from);
    if (first < 0 || ends(this.#tos[first], from)) {
      first++;
    }
    let start = from;
    let end = to;
    let next = first;
    for (; next < this.#froms.length; next++) {
      const spanFrom = this.#froms[next] as ByteString;
      if (end !== '' && spanFrom > end) {
        break;
      }
      const spanTo = this.#tos[next] as ByteString;
      if (spanFrom < start) {
        start = spanFrom;
      }
      if (spanTo === '' || (end !== '' && spanTo > end)) {
        end = spanTo;
      }
    }
    this.#froms.splice(first, next - first, start);
    this.#tos.splice(first, next - first, end);
  }

  addAll(other: KeyRangeSet): void {
    for (const [index, from] of other.#froms.entries()) {
      this.add(from, other.#tos[index] as ByteString);
    }
  }

  has(key: ByteString): boolean {
    const span = this.#spanAtOrBefore(key);
    return span >= 0 && !ends(this.#tos[span], key);
  }

  #spanAtOrBefore(key: ByteString): number {
    let low = 0;
    let high = this.#froms.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#froms[middle] as ByteString) <= key) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low - 1;
  }
}

/** Whether a span with this end stops at or before the key. */
const ends = (to: ByteString | undefined, key: ByteString): boolean =>
  to !== '' && to !== undefined && to <= key;
