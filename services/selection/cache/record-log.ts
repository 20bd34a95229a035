import assert from 'node:assert/strict';

/** Places and lengths count in units, so that numbers in a record are aligned and 32 bits name a place. */
export const unitBytes = 8;
const chunkBits = 13;
const chunkUnits = 2 ** chunkBits;
const mostChunks = 2 ** (32 - chunkBits) - 1;
/** Neighbors with no more than this between them become one. */
const mergedUnits = chunkUnits * 0.75;
/** Before each record: its length and whether it was dropped, then its tag. */
const headUnits = 1;
const dropped = 2 ** 31;

/** A piece of the log, seen in three ways. Records begin and end at whole units. */
export interface Chunk {
  readonly bytes: Buffer;
  readonly words: Uint32Array;
  readonly numbers: Float64Array;
}

interface LogChunk extends Chunk {
  number: number;
  /** Units written, of which those before `first` were dropped, and `live` are of records that stand. */
  used: number;
  first: number;
  live: number;
  older: LogChunk | undefined;
  newer: LogChunk | undefined;
}

/** The place of a record within its chunk, units. */
export const unitOf = (place: number) => place & (chunkUnits - 1);

/** Longest record, units. */
export const mostUnits = chunkUnits - headUnits;

/**
 * Records in the order in which they were written, in few large buffers, which cost a garbage collector nothing. Room
 * of dropped records comes back: chunks next to each other that are mostly empty become one, a chunk at a time. So the
 * log takes at most about 8/3 of what its records take, and one operation never moves more than a chunk.
 *
 *     oldest chunk                               newest chunk
 *     │ head record │ dropped │ head record │ ◀─▶ │ head record │ free │
 *       ▲    ▲                                                    ▲
 *       │    └ place: chunk number, unit                          └ used
 *       └ first
 */
export class RecordLog {
  readonly #chunks: (LogChunk | undefined)[] = [];
  readonly #freeNumbers: number[] = [];
  #oldest: LogChunk | undefined;
  #newest: LogChunk | undefined;
  /** Kept for the next one that is needed. */
  #spare: LogChunk | undefined;
  #size = 0;
  #live = 0;

  /** @param onMove a record with this tag stands at another place now */
  constructor(private readonly onMove: (tag: number, from: number, to: number) => void) {}

  /** Records that were not dropped. */
  get size(): number {
    return this.#size;
  }

  /** Bytes of the records that were not dropped. */
  get liveBytes(): number {
    return this.#live * unitBytes;
  }

  /** Bytes of all buffers. */
  get bytes(): number {
    const chunks = this.#chunks.length - this.#freeNumbers.length + (this.#spare ? 1 : 0);
    return chunks * chunkUnits * unitBytes;
  }

  /**
   * Room for a record behind all others; the caller fills it in. Places of others may change.
   * @param units at most `mostUnits`
   * @returns its place; undefined if there are as many chunks as places can name, 32 GiB
   */
  append(units: number, tag: number): number | undefined {
    assert.ok(units > 0 && units <= mostUnits, 'a record fits into a chunk');
    let chunk = this.#newest;
    if (!chunk || chunk.used + headUnits + units > chunkUnits) {
      chunk = this.#begin();
      if (!chunk) {
        return undefined;
      }
    }
    const head = chunk.used;
    chunk.words[2 * head] = units;
    chunk.words[2 * head + 1] = tag;
    chunk.used += headUnits + units;
    chunk.live += headUnits + units;
    this.#live += headUnits + units;
    this.#size++;
    return placeOf(chunk, head);
  }

  chunkOf(place: number): Chunk {
    return this.#at(place);
  }

  tagOf(place: number): number {
    return this.#at(place).words[2 * unitOf(place) - 1] as number;
  }

  /** The record that was written before all others, if there is any. */
  oldest(): number | undefined {
    const chunk = this.#oldest;
    if (!chunk || chunk.live === 0) {
      return undefined;
    }
    while (isDropped(chunk, chunk.first)) {
      chunk.first += lengthAt(chunk, chunk.first);
    }
    return placeOf(chunk, chunk.first);
  }

  /**
   * The places of all records, chunk by chunk, oldest first. What is written, dropped or moved between two of them may be missed
   * or told twice.
   */
  *places(): Generator<readonly number[]> {
    const chunks = this.#chunks.filter((chunk) => chunk !== undefined);
    for (const chunk of chunks) {
      const places: number[] = [];
      const isInUse = this.#chunks[chunk.number] === chunk;
      for (let head = chunk.first; isInUse && head < chunk.used; head += lengthAt(chunk, head)) {
        if (!isDropped(chunk, head)) {
          places.push(placeOf(chunk, head));
        }
      }
      yield places;
    }
  }

  /** The record is no more, and places of others may change. */
  drop(place: number): void {
    const chunk = this.#at(place);
    const head = unitOf(place) - headUnits;
    assert.ok(!isDropped(chunk, head), 'a record is dropped once');
    chunk.live -= lengthAt(chunk, head);
    this.#live -= lengthAt(chunk, head);
    chunk.words[2 * head] = (chunk.words[2 * head] as number) | dropped;
    this.#size--;
    if (chunk !== this.#newest) {
      this.#tidy(chunk);
    }
  }

  /** Frees or merges a chunk that is written no more, if it holds little. */
  #tidy(chunk: LogChunk): void {
    const { older, newer } = chunk;
    if (chunk.live === 0) {
      this.#free(chunk);
    } else if (older && older.live + chunk.live <= mergedUnits) {
      this.#merge(older, chunk);
    } else if (newer && newer !== this.#newest && chunk.live + newer.live <= mergedUnits) {
      this.#merge(chunk, newer);
    }
  }

  #at(place: number): LogChunk {
    return this.#chunks[place >>> chunkBits] as LogChunk;
  }

  #begin(): LogChunk | undefined {
    const full = this.#newest;
    const number = this.#freeNumbers.pop() ?? this.#chunks.length;
    if (number >= mostChunks) {
      return undefined;
    }
    const chunk = this.#spare ?? newChunk();
    this.#spare = undefined;
    Object.assign(chunk, { number, used: 0, first: 0, live: 0, older: full, newer: undefined });
    if (full) {
      full.newer = chunk;
    } else {
      this.#oldest = chunk;
    }
    this.#newest = chunk;
    this.#chunks[number] = chunk;
    if (full) {
      this.#tidy(full);
    }
    return chunk;
  }

  #free(chunk: LogChunk): void {
    const { older, newer } = chunk;
    if (older) {
      older.newer = newer;
    } else {
      this.#oldest = newer;
    }
    if (newer) {
      newer.older = older;
    } else {
      this.#newest = older;
    }
    this.#chunks[chunk.number] = undefined;
    this.#freeNumbers.push(chunk.number);
    this.#spare ??= chunk;
  }

  /** All records of both in the older one, in their order. */
  #merge(older: LogChunk, newer: LogChunk): void {
    const live = older.live + newer.live;
    const used = this.#copy(older, older, 0);
    older.used = this.#copy(newer, older, used);
    assert.equal(older.used, live, 'what is copied is all that stands');
    older.first = 0;
    older.live = older.used;
    this.#free(newer);
  }

  /** @returns where the last one ends */
  #copy(from: LogChunk, to: LogChunk, begin: number): number {
    let end = begin;
    for (let head = from.first; head < from.used; ) {
      const units = lengthAt(from, head);
      if (!isDropped(from, head)) {
        const place = placeOf(from, head);
        if (from !== to || head !== end) {
          for (let i = 0; i < 2 * units; i++) {
            to.words[2 * end + i] = from.words[2 * head + i] as number;
          }
          this.onMove(to.words[2 * end + 1] as number, place, placeOf(to, end));
        }
        end += units;
      }
      head += units;
    }
    return end;
  }
}

function newChunk(): LogChunk {
  const buffer = new ArrayBuffer(chunkUnits * unitBytes);
  return {
    bytes: Buffer.from(buffer),
    words: new Uint32Array(buffer),
    numbers: new Float64Array(buffer),
    number: 0,
    used: 0,
    first: 0,
    live: 0,
    older: undefined,
    newer: undefined,
  };
}

/** Of the record whose head is there, what comes after its head. */
function placeOf({ number }: LogChunk, head: number): number {
  return number * chunkUnits + head + headUnits;
}

/** With its head, units. */
function lengthAt({ words }: LogChunk, head: number): number {
  return headUnits + ((words[2 * head] as number) % dropped);
}

function isDropped({ words }: LogChunk, head: number): boolean {
  return (words[2 * head] as number) >= dropped;
}
