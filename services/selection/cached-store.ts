import { type Binding, clockSkewSeconds, remainingSeconds, type StoredBinding } from '../domain/binding.js';
import { type Call, inSet } from '../domain/call.js';
import type { QuorumMonitor } from '../etcd/quorum-monitor.js';
import type { BindingStore, BindingWrite, Found, WriteOutcome } from '../registry/binding-store.js';
import type { RelayDirectory } from '../registry/relay-directory.js';
import type { Clock } from '../runtime/clock.js';
import type { BindingCache, HistoryLoss } from './cache/binding-cache.js';
import type { HeardMove } from './cache/move-memory.js';
import type { RestoredBindings } from './carried/restored-bindings.js';

export interface CachedBindingStoreDeps {
  readonly store: BindingStore;
  readonly quorum: QuorumMonitor;
  readonly cache: BindingCache;
  readonly directory: RelayDirectory;
  readonly restored: RestoredBindings;
  /** True while moves by other replicas are heard as they happen. */
  readonly hearsMoves: () => boolean;
  readonly clock: Clock;
}

/** How long after an outage of etcd an unknown call may be one that is not back yet, ms. */
const rebuildMs = 5000;

/** The bindings as this replica knows them: what etcd says, and what it has said lately. */
export class CachedBindingStore {
  readonly #deps: CachedBindingStoreDeps;
  #backAtMs = Number.NEGATIVE_INFINITY;
  #lostBindingsAtMs = Number.NEGATIVE_INFINITY;
  #replacedAtMs = Number.NEGATIVE_INFINITY;
  /** Since the start, for metrics. */
  readonly counters = { guardFailures: 0 };

  constructor(deps: CachedBindingStoreDeps) {
    this.#deps = deps;
  }

  /** Why etcd cannot be asked, or undefined. */
  get lost() {
    return this.#deps.quorum.lost;
  }

  /** True while bindings that etcd lost are on their way back: an unknown call may be one of them. */
  get isRebuilding(): boolean {
    return this.#isRecent(this.#lostBindingsAtMs);
  }

  /** True just after etcd was away: a replica that is gone may have promised a relay to a call that etcd does not know. */
  get wasAway(): boolean {
    return this.#isRecent(this.#backAtMs);
  }

  /** True while etcd, which was wiped or restored, may not have what was bound before. */
  get isReplaced(): boolean {
    return this.#isRecent(this.#replacedAtMs);
  }

  /** Bindings may be gone from etcd. */
  beginHistory(loss: HistoryLoss): void {
    this.#backAtMs = this.#deps.clock.monotonicMs();
    if (loss.kind === 'replaced' || loss.lostForMs > rebuildMs) {
      this.#lostBindingsAtMs = this.#backAtMs;
    }
    if (loss.kind === 'replaced') {
      this.#replacedAtMs = this.#lostBindingsAtMs;
      this.#deps.restored.begin(loss.revision);
    }
    this.#deps.cache.beginHistory(loss);
  }

  /** The binding, if what is remembered of it can be answered as fresh. */
  fresh(call: Call): StoredBinding | undefined {
    const { cache, quorum, directory, hearsMoves, clock } = this.#deps;
    if (quorum.lost || !directory.live || !hearsMoves()) {
      return undefined;
    }
    const stored = this.#remembered(call, (each) => cache.fresh(each));
    // A call that was released may have begun again at another replica, and be about to be heard of.
    if (!stored || stored.binding.state === 'released') {
      return undefined;
    }
    // etcd notifies nobody of expiry, so it is checked here.
    return remainingSeconds(stored.binding, clock.wallMs()) > clockSkewSeconds ? stored : undefined;
  }

  /** The binding as it was last seen, however long ago, unless its time has run out. */
  lastKnown(call: Call): StoredBinding | undefined {
    return this.#remembered(call, (each) => this.#deps.cache.lastKnown(each));
  }

  /** What is remembered of a call that etcd may have lost since. */
  survivor(call: Call): StoredBinding | undefined {
    return this.#remembered(call, (each) => this.#deps.cache.survivor(each));
  }

  /** The call has ended, though nobody said so. */
  forget(call: Call): void {
    this.#deps.cache.forget(call);
  }

  /** The last move of a call that etcd may have lost since, if one was heard. */
  lostMove(call: Call): HeardMove | undefined {
    return this.#deps.cache.lostMove(call);
  }

  /**
   * The generation at which a call goes on that etcd has lost, or has an outdated state of: none that it has left behind.
   * @param carrier id of the relay that carries it: the last move may be the one that took it there
   */
  nextGeneration({ call, outdated }: Pick<Found, 'call' | 'outdated'>, carrier?: string): number {
    const move = this.lostMove(call);
    const sinceMove = move ? move.generation + (move.relayId === carrier ? 0 : 1) : 1;
    const left = [outdated, this.survivor(call)?.binding].map((binding) => binding?.generation ?? 0);
    return Math.max(sinceMove, ...left.map((generation) => generation + 1));
  }

  /** @throws HoldfastError `unavailable`, `overloaded` */
  async read(call: Call): Promise<Found> {
    const askedAtMs = this.#deps.clock.monotonicMs();
    const found = await this.#deps.quorum.ask('read', () => this.#deps.store.read(call));
    return this.#believed(found, askedAtMs);
  }

  /** All bindings that etcd has, page by page. @throws HoldfastError `unavailable` */
  list(): AsyncGenerator<StoredBinding> {
    return this.#deps.store.list();
  }

  /** @throws HoldfastError `unavailable` (the outcome is unknown), `overloaded` (nothing was written) */
  async write(write: BindingWrite): Promise<WriteOutcome> {
    const askedAtMs = this.#deps.clock.monotonicMs();
    const outcome = await this.#deps.quorum.ask('write', () => this.#deps.store.write(write));
    if (outcome.written) {
      this.#deps.cache.remember(outcome.stored, askedAtMs);
      return outcome;
    }
    this.counters.guardFailures++;
    return { ...outcome, found: await this.#believed(outcome.found, askedAtMs) };
  }

  #isRecent(atMs: number): boolean {
    return this.#deps.clock.monotonicMs() - atMs < rebuildMs;
  }

  /** A call that names no set is the one of the default set, or the only one that is remembered in another. */
  #remembered(call: Call, ask: (call: Call) => StoredBinding | undefined): StoredBinding | undefined {
    const own = ask(call);
    if (own || !call.anySet) {
      return own;
    }
    let elsewhere: StoredBinding | undefined;
    for (const set of this.#deps.directory.sets()) {
      const found = set === call.set ? undefined : ask(inSet(call, set));
      if (found && elsewhere) {
        return undefined;
      }
      elsewhere ??= found;
    }
    return elsewhere;
  }

  /** Another replica may have released it, long ago; or somebody has deleted its key, or revoked its lease. */
  #missing(call: Call): Binding | undefined {
    const { cache } = this.#deps;
    const known = cache.survivor(call) ? undefined : cache.lastKnown(call)?.binding;
    return known?.state === 'released' ? undefined : known;
  }

  /**
   * What etcd said, as far as it is so. A restored etcd may have a binding that the call has left behind: that counts as
   * none. Or it has one of a call that has ended since: that counts as released.
   */
  async #believed(found: Found, askedAtMs: number): Promise<Found> {
    const { cache, restored } = this.#deps;
    const { binding, revision } = found;
    if (!binding) {
      const missing = this.#missing(found.call);
      if (!missing && !cache.survivor(found.call)) {
        cache.forget(found.call);
      }
      return missing ? { ...found, missing } : found;
    }
    if ((this.isReplaced || restored.any) && cache.isOutdated(binding)) {
      return { ...found, binding: undefined, outdated: binding };
    }
    const verdict = await restored.judge({ binding, revision });
    if (verdict === 'elsewhere') {
      return { ...found, binding: undefined, outdated: binding };
    }
    if (verdict === 'stands') {
      cache.remember({ binding, revision }, askedAtMs);
      return found;
    }
    const ended: Binding = { ...binding, state: 'released' };
    cache.remember({ binding: ended, revision }, askedAtMs);
    return { ...found, binding: ended };
  }
}
