import { type Binding, isAhead, leaseSeconds, type StoredBinding } from '../../domain/binding.js';
import type { Call } from '../../domain/call.js';
import type { HistoryChange } from '../../etcd/history.js';
import type { Clock } from '../../runtime/clock.js';
import type { LeaseClock } from '../outage/lease-clock.js';
import {
  deadlineMsAt,
  draftOf,
  epochAt,
  historyAt,
  instanceAt,
  isOf,
  readRecord,
  revisionAt,
  verifiedAtMsAt,
  writeRecord,
} from './binding-record.js';
import { HashIndex } from './hash-index.js';
import { InstanceTable } from './instance-table.js';
import { KeyedHash } from './keyed-hash.js';
import { type HeardMove, MoveMemory } from './move-memory.js';
import { RecordLog, unitOf } from './record-log.js';

export interface BindingCacheDeps {
  readonly clock: Clock;
  readonly leaseClock: LeaseClock;
  readonly hash?: KeyedHash;
}

export interface BindingCacheOptions {
  /** Most entries; the oldest written go first. */
  readonly capacity: number;
  /** Most bytes of an entry on average, were there as many as that. Default 512. */
  readonly bytesEach?: number;
  /** How long what etcd said may be answered as fresh, ms. */
  readonly trustMs: number;
}

/** Why bindings may be gone from etcd. */
export type HistoryLoss =
  /** It was wiped, or restored from an older state. */
  | ({ readonly kind: 'replaced' } & HistoryChange)
  /** It was away for so long: what nobody could renew may have run out. */
  | { readonly kind: 'outage'; readonly lostForMs: number };

/** Most entries have less than half of that, but a Call-ID may have thousands of bytes. */
const defaultBytesEach = 512;
/** Moves that are remembered, whatever happens: a set of relays that dies with a million calls moves them all. */
const mostMoves = 100_000;
/** The wall clock of another machine, or of this one before it was set, is believed within this. */
const sameTimeMs = 1000;
/** etcd ends leases in steps, and after an outage it lets them run a little longer. */
const leaseMarginMs = 10_000;

/**
 * The bindings that this replica has seen lately. An entry may be answered as fresh only while nothing can have ended the
 * binding unheard: moves are heard by watch, and a release keeps the key for a linger; so what etcd said less than a linger
 * ago still exists. After a gap in the watch (a new epoch) nothing counts as fresh until it is read again. After etcd may have
 * lost bindings (a new history) what was seen before is what survives of them.
 *
 *     call key ──KeyedHash──▶ HashIndex ──place──▶ RecordLog: │ record │ record │ … in the order written
 *                                                               └─ instance ──▶ InstanceTable
 *
 * A million objects would make every garbage collection a pause that callers notice. So the bindings are records in a few
 * buffers, and become objects when they are asked for.
 */
export class BindingCache {
  readonly #log = new RecordLog((hash, from, to) => this.#index.move(hash, from, to));
  readonly #index = new HashIndex((place, callKey) => isOf(this.#log.chunkOf(place), unitOf(place), callKey));
  readonly #instances = new InstanceTable();
  readonly #moves = new MoveMemory(mostMoves);
  readonly #clock: Clock;
  readonly #leaseClock: LeaseClock;
  readonly #hash: KeyedHash;
  readonly #options: BindingCacheOptions;
  #epoch = 0;
  #history = 0;
  /** The history that began when etcd was last replaced. */
  #replacedHistory = 0;
  /** How long etcd has been away since then. */
  #lostForMs = 0;

  constructor({ clock, leaseClock, hash = new KeyedHash() }: BindingCacheDeps, options: BindingCacheOptions) {
    this.#clock = clock;
    this.#leaseClock = leaseClock;
    this.#hash = hash;
    this.#options = options;
  }

  get size(): number {
    return this.#log.size;
  }

  /** How many of them each relay has, by `relayKey`. */
  countsByRelay(): ReadonlyMap<string, number> {
    return this.#instances.countsByRelay();
  }

  /** The binding if it can be answered as fresh. */
  fresh(call: Call): StoredBinding | undefined {
    const place = this.#find(call.key);
    if (place === undefined || !this.#isOfThisEpoch(place)) {
      return undefined;
    }
    const verifiedAtMs = verifiedAtMsAt(this.#log.chunkOf(place), unitOf(place));
    const isTrusted = this.#clock.monotonicMs() - verifiedAtMs < this.#options.trustMs;
    return isTrusted ? this.#read(place, call) : undefined;
  }

  /** The binding as it was last seen, however long ago, unless its time has run out. */
  lastKnown(call: Call): StoredBinding | undefined {
    const place = this.#find(call.key);
    return place === undefined || this.#remainingMs(place) <= 0 ? undefined : this.#read(place, call);
  }

  /** What is remembered of a call that etcd may have lost since, unless its time has run out. */
  survivor(call: Call): StoredBinding | undefined {
    const place = this.#find(call.key);
    return place !== undefined && this.#survives(place) ? this.#read(place, call) : undefined;
  }

  /** What etcd may have lost, some at a time; what changes meanwhile may be missed. */
  *survivors(): Generator<readonly StoredBinding[]> {
    for (const places of this.#log.places()) {
      yield places.flatMap((place) => (this.#survives(place) ? (this.#read(place) ?? []) : []));
    }
  }

  /** The last move of a call that etcd may have lost since: its generation must not go back below that. */
  lostMove(call: Call): HeardMove | undefined {
    const move = this.#moves.of(call.key);
    return move && move.history < this.#history ? move : undefined;
  }

  /** It is behind what was known of the call before etcd was replaced. */
  isOutdated(binding: Binding): boolean {
    const { call } = binding;
    const move = this.#moves.of(call.key);
    if (move && move.history < this.#replacedHistory && move.generation > binding.generation) {
      return true;
    }
    const place = this.#find(call.key);
    const isLost =
      place !== undefined &&
      historyAt(this.#log.chunkOf(place), unitOf(place)) < this.#replacedHistory &&
      this.#remainingMs(place) > 0;
    const lost = isLost ? this.#read(place, call) : undefined;
    return lost !== undefined && isAhead(lost.binding, binding);
  }

  /** @param askedAtMs when the question was sent whose answer this is, by the monotonic clock */
  remember(stored: StoredBinding, askedAtMs: number): void {
    const { key } = stored.binding.call;
    const hash = this.#hash.of(key);
    const known = this.#index.find(hash, key);
    // Answers and the news of moves may overtake each other on their way here; etcd's order is what counts.
    if (this.#moves.isPast(key, stored.revision, askedAtMs)) {
      return;
    }
    if (known !== undefined && this.#isOfThisEpoch(known) && this.#revision(known) > stored.revision) {
      return;
    }
    const deadlineMs = this.#deadlineMs(stored, known);
    if (known !== undefined) {
      this.#drop(known);
    }
    this.#add(stored, hash, askedAtMs, deadlineMs);
    for (let oldest = this.#log.oldest(); oldest !== undefined && this.#isTooFull(); ) {
      this.#drop(oldest);
      oldest = this.#log.oldest();
    }
  }

  /** etcd has no such binding. */
  forget(call: Call): void {
    const place = this.#find(call.key);
    if (place !== undefined) {
      this.#drop(place);
    }
  }

  /** The call was moved: what was read of it before is history, even if it comes later. */
  hearMove(callKey: string, move: HeardMove): void {
    this.#moves.hear(callKey, { ...move, history: this.#history }, this.#clock.monotonicMs());
    const known = this.#find(callKey);
    if (known !== undefined && this.#revision(known) < move.revision) {
      this.#drop(known);
    }
  }

  /** Moves may have gone unheard. */
  invalidateAll(): void {
    this.#epoch++;
  }

  /** Bindings may be gone from etcd. */
  beginHistory(loss: HistoryLoss): void {
    this.#epoch++;
    this.#history++;
    if (loss.kind === 'replaced') {
      this.#replacedHistory = this.#history;
      this.#lostForMs = 0;
      this.#moves.forgetRevisions();
    } else {
      this.#lostForMs += loss.lostForMs;
    }
  }

  /** One entry is kept, however long it is. */
  #isTooFull(): boolean {
    const { capacity, bytesEach = defaultBytesEach } = this.#options;
    return this.size > capacity || (this.size > 1 && this.#log.liveBytes > capacity * bytesEach);
  }

  #find(callKey: string): number | undefined {
    return this.#index.find(this.#hash.of(callKey), callKey);
  }

  /** A binding for which there is no room is not remembered: it is read again when asked for. */
  #add(stored: StoredBinding, hash: number, verifiedAtMs: number, deadlineMs: number): void {
    const draft = draftOf(stored);
    const place = draft && this.#log.append(draft.units, hash);
    if (!draft || place === undefined) {
      return;
    }
    const { call, relayId, instance } = stored.binding;
    const number = this.#instances.take({ set: call.set, relayId, instance });
    const seen = { verifiedAtMs, deadlineMs, epoch: this.#epoch, history: this.#history };
    writeRecord(this.#log.chunkOf(place), unitOf(place), stored, seen, number, draft);
    if (!this.#index.add(hash, place)) {
      this.#discard(place);
    }
  }

  /**
   * Until when the binding lives, by this replica's own clocks. The wall clock of its writer may differ, and what is of one
   * revision never lives longer than was thought when it was first seen. What etcd still has after that was dated wrongly: a
   * clock was set.
   */
  #deadlineMs({ binding, revision }: StoredBinding, known: number | undefined): number {
    const mostMs = leaseSeconds(binding.ttlSeconds) * 1000;
    const remainingMs = Math.min(mostMs, Math.max(0, binding.expiresAtMs - this.#clock.wallMs()));
    const deadlineMs = this.#leaseClock.nowMs() + remainingMs;
    const isSame = known !== undefined && this.#revision(known) === revision && this.#remainingMs(known) > 0;
    return isSame ? Math.min(deadlineMs, deadlineMsAt(this.#log.chunkOf(known), unitOf(known))) : deadlineMs;
  }

  #remainingMs(place: number): number {
    return deadlineMsAt(this.#log.chunkOf(place), unitOf(place)) - this.#leaseClock.nowMs();
  }

  /** Bindings whose lease had time left when etcd was back are in etcd still. */
  #survives(place: number): boolean {
    const history = historyAt(this.#log.chunkOf(place), unitOf(place));
    const remainingMs = this.#remainingMs(place);
    if (history === this.#history || remainingMs <= 0) {
      return false;
    }
    return history < this.#replacedHistory || remainingMs - this.#lostForMs < leaseMarginMs;
  }

  #drop(place: number): void {
    this.#index.remove(this.#log.tagOf(place), place);
    this.#discard(place);
  }

  /** Drops a record that the index does not have. */
  #discard(place: number): void {
    this.#instances.release(instanceAt(this.#log.chunkOf(place), unitOf(place)));
    this.#log.drop(place);
  }

  /** With its expiry by the wall clock of now, which may have been set since, or have run while etcd was away. */
  #read(place: number, call?: Call): StoredBinding | undefined {
    const chunk = this.#log.chunkOf(place);
    const unit = unitOf(place);
    const stored = readRecord(chunk, unit, this.#instances.get(instanceAt(chunk, unit)), call);
    if (!stored) {
      return undefined;
    }
    const expiresAtMs = Math.round(this.#clock.wallMs() + this.#remainingMs(place));
    return Math.abs(expiresAtMs - stored.binding.expiresAtMs) < sameTimeMs
      ? stored
      : { ...stored, binding: { ...stored.binding, expiresAtMs } };
  }

  #revision(place: number): number {
    return revisionAt(this.#log.chunkOf(place), unitOf(place));
  }

  #isOfThisEpoch(place: number): boolean {
    return epochAt(this.#log.chunkOf(place), unitOf(place)) === this.#epoch;
  }
}
