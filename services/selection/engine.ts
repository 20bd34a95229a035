import type { HoldfastError } from '../domain/error.js';
import type { Events } from '../domain/events.js';
import type { EtcdConnection } from '../etcd/connection.js';
import { GroupCommit } from '../etcd/group-commit.js';
import type { HistoryChange } from '../etcd/history.js';
import { LeasePool } from '../etcd/lease-pool.js';
import type { OutageLog } from '../etcd/outage-log.js';
import { QuorumMonitor } from '../etcd/quorum-monitor.js';
import { Placement, type PolicyName } from '../placement/placement.js';
import { BindingStore } from '../registry/binding-store.js';
import type { Keyspace } from '../registry/keyspace.js';
import { MoveFeed } from '../registry/move-feed.js';
import type { RelayDirectory } from '../registry/relay-directory.js';
import { ReplicaRoster } from '../registry/replica-roster.js';
import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';
import { Subscribers } from '../runtime/subscribers.js';
import { BindingCache, type HistoryLoss } from './cache/binding-cache.js';
import { BindingKeeper } from './carried/binding-keeper.js';
import { CallFinder } from './carried/call-finder.js';
import { Rebuilder } from './carried/rebuilder.js';
import type { RelayInquiry } from './carried/relay-inquiry.js';
import { RestoreNews } from './carried/restore-news.js';
import { RestoredBindings } from './carried/restored-bindings.js';
import { LeaseClock } from './outage/lease-clock.js';
import type { WithoutQuorumMode } from './outage/outage-fallback.js';
import { relayTeller } from './relay-teller.js';
import { Selector } from './selector.js';
import { type SelectorSettings, TtlPolicy } from './ttl-policy.js';

export interface EngineOptions extends SelectorSettings {
  readonly placement: PolicyName;
  /** Most bindings that are remembered. */
  readonly cacheEntries: number;
  /** Most calls that wait without quorum to be bound. */
  readonly provisionalEntries: number;
  readonly withoutQuorum: WithoutQuorumMode;
  /** Most that one call to etcd may take, ms. */
  readonly etcdTimeoutMs: number;
}

export interface EngineDeps {
  readonly connection: EtcdConnection;
  readonly keys: Keyspace;
  readonly directory: RelayDirectory;
  readonly inquiry: RelayInquiry;
  readonly events: Events;
  readonly clock: Clock;
  readonly log: Logger;
  /** Where an outage of etcd is logged; one that is shared logs it once for all. */
  readonly outages?: OutageLog;
  /** Hears how long etcd took to answer each transaction, ms. */
  readonly onCommit?: (durationMs: number) => void;
}

/**
 * What etcd said less than this share of the shortest linger ago still exists: the rest of the linger is for a release that
 * etcd wrote down later than its lease began to run.
 */
const trustShare = 0.8;

/** The selector with all that it stands on. Each part subscribes to those that were made before it. */
export class Engine {
  readonly directory: RelayDirectory;
  readonly moves: MoveFeed;
  readonly cache: BindingCache;
  readonly commits: GroupCommit;
  readonly leases: LeasePool;
  readonly store: BindingStore;
  readonly quorum: QuorumMonitor;
  readonly finder: CallFinder;
  readonly selector: Selector;
  readonly keeper: BindingKeeper;
  readonly rebuilder: Rebuilder;
  readonly roster: ReplicaRoster;
  readonly #restoreNews: RestoreNews;
  readonly #quorumChanges = new Subscribers<HoldfastError | undefined>();

  constructor(deps: EngineDeps, options: EngineOptions) {
    const { connection, keys, clock, events } = deps;
    const leaseClock = new LeaseClock(clock);
    const { lingerSeconds, setupTtlSeconds, callTtlSeconds, withoutQuorum, placement: policy } = options;
    const ttl = { lingerSeconds, setupTtlSeconds, callTtlSeconds };
    const roster = new ReplicaRoster(deps, {
      settings: { etcdPrefix: keys.prefix, ...ttl, withoutQuorum, placement: policy },
      onDiffering: (replica, variables) => events.settingsDiffer(replica, variables),
    });
    this.roster = roster;
    const cacheOptions = {
      capacity: options.cacheEntries,
      get trustMs() {
        return roster.keptSeconds * 1000 * trustShare;
      },
    };
    this.cache = new BindingCache({ clock, leaseClock }, cacheOptions);
    // What was read before may have been released by one that did not know how long this replica trusts it.
    roster.onPublished(() => this.cache.invalidateAll());
    const { onCommit } = deps;
    this.commits = new GroupCommit(connection, onCommit && { clock, answered: onCommit });
    this.leases = new LeasePool(connection, clock);
    this.store = new BindingStore({ ...deps, commits: this.commits, leases: this.leases });
    this.directory = deps.directory;
    const placement = new Placement(policy);
    placement.follow(this.directory);
    this.quorum = new QuorumMonitor({
      ...deps,
      probe: (timeoutMs) => connection.probe({ reads: keys.relays, writes: keys.calls }, timeoutMs),
      timeoutMs: options.etcdTimeoutMs,
      onChange: (lost) => this.#quorumChanges.tell(lost),
    });
    this.moves = new MoveFeed(deps, {
      onMove: (callKey, move) => this.cache.hearMove(callKey, move),
      onGap: () => {
        this.cache.invalidateAll();
        this.quorum.look();
      },
    });
    this.finder = new CallFinder({ ...deps, relays: this.directory });
    const settings = {
      ...ttl,
      get lingerSeconds() {
        return roster.releaseSeconds;
      },
    };
    const ttlPolicy = new TtlPolicy(settings, this.directory, clock);
    const restored = new RestoredBindings({ ...deps, ttlPolicy });
    this.selector = new Selector(
      { ...deps, ...this.#parts(), ttlPolicy, restored, placement, hearsMoves: () => this.moves.live },
      options,
    );
    const carried = { ...deps, ...this.#parts(), ttlPolicy, selector: this.selector };
    this.keeper = new BindingKeeper(carried);
    this.rebuilder = new Rebuilder({ ...carried, repair: this.selector.repair, restored });
    this.#subscribe(events, leaseClock, withoutQuorum);
    const onReplaced = (change: HistoryChange) => this.#beginHistory(events, { kind: 'replaced', ...change });
    connection.onHistoryChange(onReplaced);
    this.#restoreNews = new RestoreNews(deps, onReplaced);
  }

  /** True while changes in etcd are heard as they happen. */
  get live(): boolean {
    return this.directory.live && this.moves.live;
  }

  /** The listener hears when etcd is lost, and when it is back. */
  onQuorumChange(listener: (lost: HoldfastError | undefined) => void): void {
    this.#quorumChanges.add(listener);
  }

  /**
   * Resolves when it is known what relays there are, however long etcd takes to appear.
   * @param name for people who read what this replica publishes
   */
  async start(name: string): Promise<void> {
    await Promise.all([this.directory.start(), this.moves.start(), this.roster.start(name)]);
    this.quorum.start();
    this.keeper.start();
    this.#restoreNews.start();
  }

  async stop(): Promise<void> {
    this.selector.stop();
    await Promise.all([this.#restoreNews.stop(), this.keeper.stop(), this.rebuilder.stop()]);
    await Promise.all([this.directory.stop(), this.moves.stop(), this.roster.stop(), this.quorum.stop()]);
  }

  #parts() {
    const { cache, store, quorum, directory, finder } = this;
    return { cache, store, quorum, directory, finder };
  }

  #subscribe(events: Events, leaseClock: LeaseClock, mode: WithoutQuorumMode): void {
    this.directory.subscribe(relayTeller(events));
    events.subscribe((event) => {
      if (event.type === 'callBound') {
        this.keeper.heed(event.details.ttlSeconds);
      }
    });
    this.onQuorumChange((lost) => {
      // A watch may live on beside a member that is cut off from the others: it hears of no move.
      this.cache.invalidateAll();
      // While etcd is away no relay node can renew its lease: all may run out at once.
      this.directory.suspect('etcd was lost', lost !== undefined);
      if (lost) {
        // Since when it has been away, nobody can tell who stood still meanwhile.
        leaseClock.pause(this.quorum.answeredAtMs);
        this.commits.refuseWaiting(lost);
        const newCalls = mode === 'available' ? 'provisional' : 'refused';
        events.etcdLost({ reason: lost.message, newCalls });
        return;
      }
      const lostForMs = leaseClock.resume();
      events.etcdBack(lostForMs);
      this.#beginHistory(events, { kind: 'outage', lostForMs });
      void this.selector.reconcile();
    });
  }

  #beginHistory(events: Events, loss: HistoryLoss): void {
    if (loss.kind === 'replaced') {
      events.historyChanged(loss.reason);
    }
    this.selector.beginHistory(loss);
    void this.rebuilder.rebuild().then(() => this.selector.goOn());
  }
}
