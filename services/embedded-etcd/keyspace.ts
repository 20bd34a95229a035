import type { ByteString } from './byte-string.js';
import { compacted, futureRevision } from './errors.js';
import { EventLog } from './event-log.js';
import type { KeyRange } from './key-range.js';
import type { LeaseTable } from './lease-table.js';
import { OrderedMap } from './ordered-map.js';
import { asOf, isTombstone, type LeaseId, noLease, sizeOf, type Version } from './version.js';

export interface HistoryLimits {
  /** Past events kept for watchers and reads at old revisions; older ones are compacted away. */
  readonly maxEvents: number;
  /** Bytes of superseded versions kept; more are compacted away even when the events are few. */
  readonly maxBytes: number;
}

/** Makes the changes of one revision. */
export interface Writer {
  put(key: ByteString, value: ByteString, lease: LeaseId): void;
  /** Deletes what exists in the range and returns it. */
  delete(range: KeyRange): Version[];
}

/** The multi-version key space: an ordered map of the newest versions, each the head of its own history. */
export class Keyspace {
  readonly #newest = new OrderedMap<Version>();
  readonly #log = new EventLog();
  readonly #leases: LeaseTable;
  readonly #limits: HistoryLimits;
  readonly #commitListeners = new Set<(events: readonly Version[]) => void>();
  #revision = 1;
  #compactRevision = -1;
  #totalBytes = 0;
  #liveBytes = 0;
  #changes: Version[] = [];

  constructor(leases: LeaseTable, limits: HistoryLimits) {
    this.#leases = leases;
    this.#limits = limits;
  }

  get revision(): number {
    return this.#revision;
  }

  /** The oldest revision that can still be read; -1 until the first compaction. */
  get compactRevision(): number {
    return this.#compactRevision;
  }

  get totalBytes(): number {
    return this.#totalBytes;
  }

  get liveBytes(): number {
    return this.#liveBytes;
  }

  /** Inside a write: the revision that the changes made so far carry. Otherwise the current one. */
  get visibleRevision(): number {
    return this.#changes.length > 0 ? this.#revision + 1 : this.#revision;
  }

  get log(): EventLog {
    return this.#log;
  }

  onCommit(listener: (events: readonly Version[]) => void): () => void {
    this.#commitListeners.add(listener);
    return () => this.#commitListeners.delete(listener);
  }

  get(key: ByteString): Version | undefined {
    return asOf(this.#newest.get(key), Number.POSITIVE_INFINITY);
  }

  /** The keys in the range, in order, as of `atRevision` (0 or less: now, including an open write's own changes). */
  read(range: KeyRange, atRevision = 0): Version[] {
    const found: Version[] = [];
    this.visit(range, atRevision, (version) => {
      found.push(version);
    });
    return found;
  }

  visit(range: KeyRange, atRevision: number, visitor: (version: Version) => void): void {
    if (atRevision > this.#revision) {
      throw futureRevision();
    }
    if (atRevision > 0 && atRevision < this.#compactRevision) {
      throw compacted();
    }
    const revision = atRevision > 0 ? atRevision : Number.POSITIVE_INFINITY;
    const consider = (newest: Version | undefined) => {
      const version = asOf(newest, revision);
      if (version) {
        visitor(version);
      }
    };
    if (range.to === undefined) {
      consider(this.#newest.get(range.from));
    } else {
      this.#newest.visit(range.from, range.to, consider);
    }
  }

  /** Everything the task writes becomes one revision; a task that writes nothing makes none. */
  write<T>(task: (writer: Writer) => T): T {
    try {
      return task(this.#writer);
    } finally {
      // A task that threw halfway (a defect, since everything is checked before) still leaves log and keys consistent.
      const events = this.#changes;
      if (events.length > 0) {
        this.#changes = [];
        this.#revision++;
        for (const event of events) {
          this.#log.append(event);
        }
        for (const listener of this.#commitListeners) {
          listener(events);
        }
        this.#enforceLimits();
      }
    }
  }

  compact(revision: number): void {
    if (revision <= this.#compactRevision) {
      throw compacted();
    }
    if (revision > this.#revision) {
      throw futureRevision();
    }
    this.#compactRevision = revision;
    const superseded = this.#log.indexOf(revision);
    const end = this.#log.indexOf(revision + 1);
    for (let index = 0; index < end; index++) {
      const version = this.#log.at(index);
      if (version) {
        this.#forgetHistory(version);
      }
    }
    // Events of the compact revision itself stay: a watcher may start there, as a read may.
    this.#log.dropFirst(superseded);
  }

  readonly #writer: Writer = {
    put: (key, value, lease) => {
      const newest = this.#newest.get(key);
      const previous = newest && !isTombstone(newest) ? newest : undefined;
      this.#replace(newest, {
        key: newest?.key ?? key,
        value,
        createRevision: previous?.createRevision ?? this.#revision + 1,
        modRevision: this.#revision + 1,
        version: (previous?.version ?? 0) + 1,
        lease,
        older: newest,
      });
    },
    delete: (range) => {
      const deleted = this.read(range);
      for (const version of deleted) {
        this.#replace(version, {
          key: version.key,
          value: '',
          createRevision: 0,
          modRevision: this.#revision + 1,
          version: 0,
          lease: noLease,
          older: version,
        });
      }
      return deleted;
    },
  };

  #replace(newest: Version | undefined, next: Version): void {
    const lived = newest !== undefined && !isTombstone(newest);
    if (lived) {
      this.#liveBytes -= sizeOf(newest);
    }
    if (lived && newest.lease !== noLease) {
      this.#leases.detach(newest.lease, newest.key);
    }
    if (next.lease !== noLease) {
      this.#leases.attach(next.lease, next.key);
    }
    if (!isTombstone(next)) {
      this.#liveBytes += sizeOf(next);
    }
    this.#totalBytes += sizeOf(next);
    this.#newest.set(next.key, next);
    this.#changes.push(next);
  }

  /** Drops everything older than this version, and the version itself if it is a tombstone and still the newest. */
  #forgetHistory(version: Version): void {
    for (let older = version.older; older; older = older.older) {
      this.#totalBytes -= sizeOf(older);
    }
    version.older = undefined;
    if (isTombstone(version) && this.#newest.get(version.key) === version) {
      this.#totalBytes -= sizeOf(version);
      this.#newest.delete(version.key);
    }
  }

  #enforceLimits(): void {
    const excess = this.#log.length - this.#limits.maxEvents;
    if (excess > 0) {
      this.#compactThrough(excess);
    }
    while (this.#totalBytes - this.#liveBytes > this.#limits.maxBytes) {
      if (!this.#compactThrough(Math.max(1, this.#log.length >> 1))) {
        return;
      }
    }
  }

  /** Compacts up to the revision of the event at `index`, which is kept; false if that is done already. */
  #compactThrough(index: number): boolean {
    const revision = this.#log.at(index)?.modRevision ?? this.#revision;
    if (revision <= this.#compactRevision) {
      return false;
    }
    this.compact(revision);
    return true;
  }
}
