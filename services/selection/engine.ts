import type { EtcdConnection } from '../etcd/connection.js';
import { GroupCommit } from '../etcd/group-commit.js';
import { LeasePool } from '../etcd/lease-pool.js';
import { QuorumMonitor } from '../etcd/quorum-monitor.js';
import { Placement, type PolicyName } from '../placement/placement.js';
import { BindingStore } from '../registry/binding-store.js';
import type { Keyspace } from '../registry/keyspace.js';
import { MoveFeed } from '../registry/move-feed.js';
import { RelayDirectory } from '../registry/relay-directory.js';
import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';
import { BindingCache } from './cache/binding-cache.js';
import type { WithoutQuorumMode } from './outage/outage-fallback.js';
import { Selector } from './selector.js';
import type { SelectorSettings } from './ttl-policy.js';

export interface EngineSettings extends SelectorSettings {
  readonly placement: PolicyName;
  /** Most bindings that are remembered, and most that wait without quorum to be bound. */
  readonly cacheEntries: number;
  readonly withoutQuorum: WithoutQuorumMode;
  /** Most that one call to etcd may take, ms. */
  readonly etcdTimeoutMs: number;
  /** See RelayDirectoryParts. */
  readonly massLossPercent: number;
  /** Called when etcd is lost, and when it is back. */
  readonly onQuorum?: (lost: boolean) => void;
}

export interface EngineDeps {
  readonly connection: EtcdConnection;
  readonly keys: Keyspace;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * What etcd said less than this share of a linger ago still exists: the rest of the linger is for a release that
 * etcd wrote down later than its lease began to run.
 */
const trustShare = 0.8;

/** The selector with all that it stands on, joined: each part hears from the others what concerns it. */
export class Engine {
  readonly directory: RelayDirectory;
  readonly moves: MoveFeed;
  readonly cache: BindingCache;
  readonly commits: GroupCommit;
  readonly leases: LeasePool;
  readonly store: BindingStore;
  readonly quorum: QuorumMonitor;
  readonly selector: Selector;

  constructor(deps: EngineDeps, settings: EngineSettings) {
    const { connection, keys, clock, log } = deps;
    const { cacheEntries, withoutQuorum } = settings;
    this.cache = new BindingCache(cacheEntries, settings.lingerSeconds * 1000 * trustShare);
    this.commits = new GroupCommit(connection);
    this.leases = new LeasePool(connection, clock);
    this.store = new BindingStore({ ...deps, commits: this.commits, leases: this.leases });
    this.directory = new RelayDirectory({ ...deps, massLossPercent: settings.massLossPercent });
    const placement = new Placement(settings.placement);
    this.directory.subscribe(({ type, relay }) => {
      const { set, id } = relay.relay;
      if (type === 'left' || type === 'suspect') {
        placement.remove(set, id);
      } else {
        placement.put(relay);
      }
    });
    this.moves = new MoveFeed(deps, {
      onMove: (callKey, revision) => this.cache.hearMove(callKey, revision),
      onPast: (callKey) => this.cache.forgetMove(callKey),
      onGap: () => {
        this.cache.invalidateAll();
        this.quorum.look();
      },
    });
    this.quorum = new QuorumMonitor({
      probe: (timeoutMs) => connection.probe(keys.relays, timeoutMs),
      timeoutMs: settings.etcdTimeoutMs,
      onChange: (lost) => {
        // A watch may live on beside a member that is cut off from the others: it hears of no move.
        this.cache.invalidateAll();
        // While etcd is away no relay node can renew its lease: all may run out at once.
        this.directory.suspect('etcd was lost', lost !== undefined);
        if (lost) {
          this.commits.refuseWaiting(lost);
          log.warn(
            { reason: lost.message, mode: withoutQuorum },
            withoutQuorum === 'available'
              ? 'etcd is lost: known calls are answered as stale, new ones provisionally'
              : 'etcd is lost: known calls are answered as stale, new ones are refused',
          );
        } else {
          void this.selector.claim();
        }
        settings.onQuorum?.(lost !== undefined);
      },
      clock,
      log,
    });
    this.selector = new Selector(
      {
        ...deps,
        store: this.store,
        quorum: this.quorum,
        cache: this.cache,
        directory: this.directory,
        placement,
        hearsMoves: () => this.moves.live,
        withoutQuorum,
        provisionalEntries: cacheEntries,
      },
      settings,
    );
  }

  /** True while changes in etcd are heard as they happen. */
  get live(): boolean {
    return this.directory.live && this.moves.live;
  }

  /** Resolves when it is known what relays there are, however long etcd takes to appear. */
  async start(): Promise<void> {
    await Promise.all([this.directory.start(), this.moves.start()]);
  }

  async stop(): Promise<void> {
    await Promise.all([this.directory.stop(), this.moves.stop(), this.quorum.stop()]);
  }
}
