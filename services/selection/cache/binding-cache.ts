import type { StoredBinding } from '../../domain/binding.js';
import {
  epochAt,
  expiresAtMsAt,
  isOf,
  lifeNumberAt,
  readRecord,
  revisionAt,
  unitsFor,
  verifiedAtMsAt,
  writeRecord,
} from './binding-record.js';
import { HashIndex } from './hash-index.js';
import { InstanceTable } from './instance-table.js';
import { KeyedHash } from './keyed-hash.js';
import { RecordLog, unitOf } from './record-log.js';

/**
 * The bindings this replica has seen lately. An entry may be answered as fresh only while nothing can have ended the
 * binding unheard: moves are heard by watch, and a release keeps the key for a linger; so what etcd said less than a
 * linger ago still exists. After a gap in the watch nothing counts as fresh until it is read again.
 *
 * A million objects would make every collection of garbage a pause that callers notice. So the bindings are records in
 * a few buffers, in the order in which they were written, and become objects when they are asked for.
 */
export class BindingCache {
  readonly #log = new RecordLog((hash, from, to) => this.#index.move(hash, from, to));
  readonly #index = new HashIndex((place, callKey) => isOf(this.#log.chunkOf(place), unitOf(place), callKey));
  readonly #lives = new InstanceTable();
  /** etcd's revision of each call's last move, for as long as etcd keeps it. */
  readonly #moves = new Map<string, number>();
  #epoch = 0;

  constructor(
    /** Most entries; the oldest written go first. */
    private readonly capacity: number,
    /** How long what etcd said may be answered as fresh, ms. */
    private readonly trustMs: number,
    private readonly hash = new KeyedHash(),
  ) {}

  get size(): number {
    return this.#log.size;
  }

  /** The binding if it can be answered as fresh. */
  fresh(callKey: string, nowMs: number): StoredBinding | undefined {
    const place = this.#find(callKey);
    if (place === undefined || !this.#isOfThisEpoch(place)) {
      return undefined;
    }
    const verifiedAtMs = verifiedAtMsAt(this.#log.chunkOf(place), unitOf(place));
    return nowMs - verifiedAtMs < this.trustMs ? this.#read(place, callKey) : undefined;
  }

  /** The binding as it was last seen, however long ago, unless its time has run out. */
  lastKnown(callKey: string, wallMs: number): StoredBinding | undefined {
    const place = this.#find(callKey);
    if (place === undefined) {
      return undefined;
    }
    const expiresAtMs = expiresAtMsAt(this.#log.chunkOf(place), unitOf(place));
    return expiresAtMs > wallMs ? this.#read(place, callKey) : undefined;
  }

  /** @param askedAtMs when the question was sent whose answer this is, by the monotonic clock */
  remember(stored: StoredBinding, askedAtMs: number): void {
    const { key } = stored.binding.call;
    const hash = this.hash.of(key);
    const known = this.#index.find(hash, key);
    // Answers and the news of moves may overtake each other on their way here; etcd's order is what counts.
    if (stored.revision < (this.#moves.get(key) ?? 0)) {
      return;
    }
    if (known !== undefined && this.#isOfThisEpoch(known) && this.#revision(known) > stored.revision) {
      return;
    }
    if (known !== undefined) {
      this.#drop(known);
    }
    this.#add(stored, hash, askedAtMs);
    if (this.size > this.capacity) {
      const oldest = this.#log.oldest();
      if (oldest !== undefined) {
        this.#drop(oldest);
      }
    }
  }

  forget(callKey: string): void {
    const place = this.#find(callKey);
    if (place !== undefined) {
      this.#drop(place);
    }
  }

  /** The call was moved at this etcd revision: what was read of it before is history, even if it comes later. */
  hearMove(callKey: string, revision: number): void {
    this.#moves.set(callKey, revision);
    const known = this.#find(callKey);
    if (known !== undefined && this.#revision(known) < revision) {
      this.#drop(known);
    }
  }

  /** The move is so long ago that no answer from before it can still come. */
  forgetMove(callKey: string): void {
    this.#moves.delete(callKey);
  }

  /** Moves may have gone unheard. */
  invalidateAll(): void {
    this.#epoch++;
  }

  #find(callKey: string): number | undefined {
    return this.#index.find(this.hash.of(callKey), callKey);
  }

  /** A binding for which there is no room is not remembered: it is read again when asked for. */
  #add(stored: StoredBinding, hash: number, verifiedAtMs: number): void {
    const units = unitsFor(stored);
    const place = units && this.#log.append(units, hash);
    if (place === undefined) {
      return;
    }
    const life = this.#lives.take(stored.binding);
    const seen = { verifiedAtMs, epoch: this.#epoch };
    writeRecord(this.#log.chunkOf(place), unitOf(place), stored, seen, life);
    if (!this.#index.add(hash, place)) {
      this.#drop(place);
    }
  }

  #drop(place: number): void {
    this.#index.remove(this.#log.tagOf(place), place);
    this.#lives.release(lifeNumberAt(this.#log.chunkOf(place), unitOf(place)));
    this.#log.drop(place);
  }

  #read(place: number, callKey: string): StoredBinding | undefined {
    const chunk = this.#log.chunkOf(place);
    const unit = unitOf(place);
    return readRecord(chunk, unit, callKey, this.#lives.get(lifeNumberAt(chunk, unit)));
  }

  #revision(place: number): number {
    return revisionAt(this.#log.chunkOf(place), unitOf(place));
  }

  #isOfThisEpoch(place: number): boolean {
    return epochAt(this.#log.chunkOf(place), unitOf(place)) === this.#epoch;
  }
}
