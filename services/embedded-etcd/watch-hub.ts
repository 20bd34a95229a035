import type { ByteString } from './byte-string.js';
import type { Keyspace } from './keyspace.js';
import type { Version } from './version.js';
import { type Watcher, wants } from './watcher.js';

/** Sends the events of a watcher. */
export interface WatchOwner {
  deliver(watcher: Watcher, events: readonly Version[]): void;
}

interface Entry {
  readonly watcher: Watcher;
  readonly owner: WatchOwner;
}

/**
 * Delivers each commit to the watchers in step that want it. Watchers of a single key, which can be many, are found by
 * that key; watchers of ranges are few.
 */
export class WatchHub {
  readonly #byKey = new Map<ByteString, Set<Entry>>();
  readonly #ranges = new Set<Entry>();
  readonly #entries = new Map<Watcher, Entry>();

  constructor(keyspace: Keyspace) {
    keyspace.onCommit((events) => this.#notify(events));
  }

  add(watcher: Watcher, owner: WatchOwner): void {
    const entry = { watcher, owner };
    this.#entries.set(watcher, entry);
    if (watcher.keys.to !== undefined) {
      this.#ranges.add(entry);
      return;
    }
    const entries = this.#byKey.get(watcher.keys.from) ?? new Set();
    this.#byKey.set(watcher.keys.from, entries.add(entry));
  }

  remove(watcher: Watcher): void {
    const entry = this.#entries.get(watcher);
    if (!entry) {
      return;
    }
    this.#entries.delete(watcher);
    this.#ranges.delete(entry);
    const entries = this.#byKey.get(watcher.keys.from);
    entries?.delete(entry);
    if (entries?.size === 0) {
      this.#byKey.delete(watcher.keys.from);
    }
  }

  #notify(events: readonly Version[]): void {
    if (this.#entries.size === 0) {
      return;
    }
    const due = new Map<Entry, Version[]>();
    const offer = (entry: Entry, event: Version) => {
      if (!entry.watcher.inStep || !wants(entry.watcher, event)) {
        return;
      }
      const batch = due.get(entry);
      if (batch) {
        batch.push(event);
      } else {
        due.set(entry, [event]);
      }
    };
    for (const event of events) {
      for (const entry of this.#byKey.get(event.key) ?? []) {
        offer(entry, event);
      }
      for (const entry of this.#ranges) {
        offer(entry, event);
      }
    }
    for (const [entry, batch] of due) {
      entry.owner.deliver(entry.watcher, batch);
    }
  }
}
