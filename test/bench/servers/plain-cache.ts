import type { StoredBinding } from '../../../services/domain/binding.js';
import type { Call } from '../../../services/domain/call.js';
import type { BindingCacheOptions } from '../../../services/selection/cache/binding-cache.js';

interface Entry {
  readonly stored: StoredBinding;
  readonly verifiedAtMs: number;
}

/** The baseline of the cache: an ordinary `Map` of ordinary objects, with the same answers and the same bound. */
export class PlainCache {
  readonly #entries = new Map<string, Entry>();
  /** Kept between evictions: a new iterator would skip every entry deleted since the map was last rehashed. */
  #oldest = this.#entries.keys();

  constructor(private readonly options: BindingCacheOptions) {}

  get size(): number {
    return this.#entries.size;
  }

  fresh({ key }: Call): StoredBinding | undefined {
    const entry = this.#entries.get(key);
    return entry && performance.now() - entry.verifiedAtMs < this.options.trustMs ? entry.stored : undefined;
  }

  remember(stored: StoredBinding, verifiedAtMs: number): void {
    const { key } = stored.binding.call;
    const known = this.#entries.get(key);
    if (known && known.stored.revision > stored.revision) {
      return;
    }
    // An update stays where it is: deleting and adding it again would double the rehashes.
    this.#entries.set(key, { stored, verifiedAtMs });
    if (this.size > this.options.capacity) {
      const { value: oldest } = this.#oldest.next();
      if (oldest !== undefined) {
        this.#entries.delete(oldest);
      }
    }
  }
}
