import assert from 'node:assert/strict';

/** Sub-tables grow one by one: so no single insertion moves more than its share of all entries. */
const subTableCount = 256;
const fewestSlots = 16;
/** Share of the slots of a sub-table that may be taken. */
const mostTaken = 0.7;
/** Slots that are looked at for one hash. As long a row of taken slots is not met by chance. */
const longestProbe = 256;
/** A slot is two words: the hash, and the place + 1, so that 0 is an empty slot. */
const slotWords = 2;

/**
 * Finds the place of a text by its hash. Places are numbers from 0 to 2^32 - 2, and whoever keeps the texts tells
 * whether one stands there. Open addressing in typed arrays, which cost a garbage collector nothing.
 */
export class HashIndex {
  readonly #tables: (SubTable | undefined)[] = new Array(subTableCount).fill(undefined);

  /** @param holds whether this text stands at this place */
  constructor(private readonly holds: (place: number, text: string) => boolean) {}

  /** The place of the text, if it has one. */
  find(hash: number, text: string): number | undefined {
    const table = this.#tables[hash >>> 24];
    if (!table) {
      return undefined;
    }
    const { words, mask } = table;
    for (let slot = hash & mask, probes = 0; probes < longestProbe; slot = (slot + 1) & mask, probes++) {
      const stored = words[slot * slotWords + 1] as number;
      if (stored === 0) {
        return undefined;
      }
      if (words[slot * slotWords] === hash && this.holds(stored - 1, text)) {
        return stored - 1;
      }
    }
    return undefined;
  }

  /**
   * Adds a place whose text is not there yet.
   * @returns false if so many hashes are alike that there is no room for one more
   */
  add(hash: number, place: number): boolean {
    const at = hash >>> 24;
    let table = this.#tables[at];
    if (!table) {
      table = newTable(fewestSlots);
      this.#tables[at] = table;
    }
    if (table.taken < (table.mask + 1) * mostTaken && insert(table, hash, place)) {
      return true;
    }
    // A table that is nearly empty gets no larger for a few hashes that are alike.
    if (table.taken < (table.mask + 1) / 8) {
      return false;
    }
    const larger = grown(table);
    if (!larger) {
      return false;
    }
    this.#tables[at] = larger;
    return insert(larger, hash, place);
  }

  /** What stood at one place stands at another. */
  move(hash: number, from: number, to: number): void {
    const { table, slot } = this.#slotOf(hash, from);
    table.words[slot * slotWords + 1] = to + 1;
  }

  remove(hash: number, place: number): void {
    const { table, slot } = this.#slotOf(hash, place);
    empty(table, slot);
  }

  #slotOf(hash: number, place: number): { readonly table: SubTable; readonly slot: number } {
    const table = this.#tables[hash >>> 24];
    const slot = table && slotOf(table, hash, place);
    assert.ok(table && slot !== undefined, 'the place is in the index');
    return { table, slot };
  }
}

interface SubTable {
  readonly words: Uint32Array;
  /** Slots - 1; their number is a power of two. */
  readonly mask: number;
  taken: number;
}

function newTable(slots: number): SubTable {
  return { words: new Uint32Array(slots * slotWords), mask: slots - 1, taken: 0 };
}

function insert(table: SubTable, hash: number, place: number): boolean {
  const { words, mask } = table;
  for (let slot = hash & mask, probes = 0; probes < longestProbe; slot = (slot + 1) & mask, probes++) {
    if (words[slot * slotWords + 1] !== 0) {
      continue;
    }
    words[slot * slotWords] = hash;
    words[slot * slotWords + 1] = place + 1;
    table.taken++;
    return true;
  }
  return false;
}

/** The same entries in twice as many slots, or undefined if even there some are too far from where they belong. */
function grown({ words, mask }: SubTable): SubTable | undefined {
  const table = newTable((mask + 1) * 2);
  for (let at = 0; at < words.length; at += slotWords) {
    const stored = words[at + 1] as number;
    if (stored !== 0 && !insert(table, words[at] as number, stored - 1)) {
      return undefined;
    }
  }
  return table;
}

function slotOf(table: SubTable, hash: number, place: number): number | undefined {
  const { words, mask } = table;
  for (let slot = hash & mask, probes = 0; probes < longestProbe; slot = (slot + 1) & mask, probes++) {
    const stored = words[slot * slotWords + 1] as number;
    if (stored === 0) {
      return undefined;
    }
    if (stored === place + 1) {
      return slot;
    }
  }
  return undefined;
}

/** Empties a slot, and moves those behind it up, so that no search ends too early. */
function empty(table: SubTable, slot: number): void {
  const { words, mask } = table;
  let hole = slot;
  for (let next = (hole + 1) & mask; words[next * slotWords + 1] !== 0; next = (next + 1) & mask) {
    const home = (words[next * slotWords] as number) & mask;
    // It may move up if that does not take it before its own home.
    if (((next - home) & mask) < ((next - hole) & mask)) {
      continue;
    }
    words[hole * slotWords] = words[next * slotWords] as number;
    words[hole * slotWords + 1] = words[next * slotWords + 1] as number;
    hole = next;
  }
  words[hole * slotWords + 1] = 0;
  table.taken--;
}
