export interface BoundedMapLimits<V> {
  readonly entries: number;
  /** Of all entries together; the newest is kept whatever it weighs. */
  readonly weight?: number;
  readonly weigh?: (value: V) => number;
}

/** Entries in the order in which they were set last. Beyond its limits those go that were set first. */
export class BoundedMap<V> {
  readonly #map = new Map<string, V>();
  /** Goes along with the oldest: a new iterator would walk over all that were deleted before it. */
  #oldest = this.#map.keys();
  readonly #entries: number;
  readonly #mostWeight: number;
  readonly #weigh: (value: V) => number;
  #weight = 0;

  constructor({ entries, weight = Number.POSITIVE_INFINITY, weigh = () => 0 }: BoundedMapLimits<V>) {
    this.#entries = entries;
    this.#mostWeight = weight;
    this.#weigh = weigh;
  }

  get size(): number {
    return this.#map.size;
  }

  get weight(): number {
    return this.#weight;
  }

  get(key: string): V | undefined {
    return this.#map.get(key);
  }

  /** Also one that is set again is the newest then. @returns how many had to go */
  set(key: string, value: V): number {
    this.delete(key);
    this.#map.set(key, value);
    this.#weight += this.#weigh(value);
    let gone = 0;
    while (this.size > this.#entries || (this.#weight > this.#mostWeight && this.size > 1)) {
      this.delete(this.#next());
      gone++;
    }
    return gone;
  }

  delete(key: string): boolean {
    const value = this.#map.get(key);
    if (value === undefined) {
      return false;
    }
    this.#weight -= this.#weigh(value);
    return this.#map.delete(key);
  }

  clear(): void {
    this.#map.clear();
    this.#weight = 0;
  }

  /** Oldest first, as they are now. */
  values(): V[] {
    return [...this.#map.values()];
  }

  #next(): string {
    let { value: oldest } = this.#oldest.next();
    if (oldest === undefined) {
      this.#oldest = this.#map.keys();
      ({ value: oldest } = this.#oldest.next());
    }
    return oldest ?? '';
  }
}
