import type { ByteString } from './byte-string.js';

interface Chunk<V> {
  readonly keys: ByteString[];
  readonly values: V[];
}

/**
 * A map ordered by key: a sorted list of sorted chunks. A million keys are about 4,000 chunks, so a lookup is two
 * binary searches and an insertion moves at most one chunk's worth of pointers. It beats a hash table beside a tree
 * because there is no growth pause and no second structure to keep consistent.
 */
export class OrderedMap<V> {
  static readonly #chunkLimit = 512;
  /** The first key of each chunk, so that the outer search stays within one array. */
  readonly #firsts: ByteString[] = [];
  readonly #chunks: Chunk<V>[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(key: ByteString): V | undefined {
    const chunk = this.#chunks[this.#chunkIndex(key)];
    if (!chunk) {
      return undefined;
    }
    const at = lowerBound(chunk.keys, key);
    return chunk.keys[at] === key ? chunk.values[at] : undefined;
  }

  set(key: ByteString, value: V): void {
    const index = Math.max(0, this.#chunkIndex(key));
    const chunk = this.#chunks[index];
    if (!chunk) {
      this.#firsts.push(key);
      this.#chunks.push({ keys: [key], values: [value] });
      this.#size = 1;
      return;
    }
    const at = lowerBound(chunk.keys, key);
    if (chunk.keys[at] === key) {
      chunk.values[at] = value;
      return;
    }
    chunk.keys.splice(at, 0, key);
    chunk.values.splice(at, 0, value);
    if (at === 0) {
      this.#firsts[index] = key;
    }
    this.#size++;
    if (chunk.keys.length > OrderedMap.#chunkLimit) {
      this.#split(index, chunk, at);
    }
  }

  delete(key: ByteString): boolean {
    const index = this.#chunkIndex(key);
    const chunk = this.#chunks[index];
    if (!chunk) {
      return false;
    }
    const at = lowerBound(chunk.keys, key);
    if (chunk.keys[at] !== key) {
      return false;
    }
    chunk.keys.splice(at, 1);
    chunk.values.splice(at, 1);
    this.#size--;
    const first = chunk.keys[0];
    if (first === undefined) {
      this.#firsts.splice(index, 1);
      this.#chunks.splice(index, 1);
    } else {
      this.#firsts[index] = first;
      this.#mergeWithNext(index, chunk);
    }
    return true;
  }

  /** Visits the values with from <= key < to ('' = no end) in order. The visitor must not add or remove keys. */
  visit(from: ByteString, to: ByteString, visitor: (value: V) => void): void {
    let index = Math.max(0, this.#chunkIndex(from));
    let at = lowerBound(this.#chunks[index]?.keys ?? [], from);
    for (; index < this.#chunks.length; index++, at = 0) {
      const { keys, values } = this.#chunks[index] as Chunk<V>;
      const last = keys[keys.length - 1] as ByteString;
      const end = to === '' || last < to ? keys.length : lowerBound(keys, to);
      for (; at < end; at++) {
        visitor(values[at] as V);
      }
      if (end < keys.length) {
        return;
      }
    }
  }

  /** Index of the chunk for the key: the last whose first key is not above it; -1 if the key is below all. */
  #chunkIndex(key: ByteString): number {
    const at = lowerBound(this.#firsts, key);
    return this.#firsts[at] === key ? at : at - 1;
  }

  #split(index: number, chunk: Chunk<V>, at: number): void {
    // Keys that arrive in order would leave every chunk half full; cut at the end instead.
    const appended = at === chunk.keys.length - 1;
    const middle = appended ? chunk.keys.length - 1 : chunk.keys.length >> 1;
    const right = { keys: chunk.keys.splice(middle), values: chunk.values.splice(middle) };
    this.#chunks.splice(index + 1, 0, right);
    this.#firsts.splice(index + 1, 0, right.keys[0] as ByteString);
  }

  /** Without this, deleting most keys of a large map would leave thousands of near-empty chunks. */
  #mergeWithNext(index: number, chunk: Chunk<V>): void {
    const next = this.#chunks[index + 1];
    if (!next || chunk.keys.length + next.keys.length > OrderedMap.#chunkLimit >> 2) {
      return;
    }
    chunk.keys.push(...next.keys);
    chunk.values.push(...next.values);
    this.#chunks.splice(index + 1, 1);
    this.#firsts.splice(index + 1, 1);
  }
}

/** The first position whose key is not below `key`. */
function lowerBound(keys: readonly ByteString[], key: ByteString): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((keys[middle] as ByteString) < key) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}
