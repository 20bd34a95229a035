import { relayService } from '../grpc/relay-service.js';
import { selectionService } from '../grpc/selection-service.js';
import { GrpcServer } from '../grpc/server.js';
import { NgGateway } from '../ng-gateway/gateway.js';
import { Placement } from '../placement/placement.js';
import { BindingStore } from '../registry/binding-store.js';
import { EtcdConnection } from '../registry/connection.js';
import { GroupCommit } from '../registry/group-commit.js';
import { IntentStore } from '../registry/intent-store.js';
import { Keyspace } from '../registry/keyspace.js';
import { LeaseBuckets } from '../registry/lease-buckets.js';
import { MoveFeed } from '../registry/move-feed.js';
import { RelayDirectory } from '../registry/relay-directory.js';
import { formatAddress } from '../runtime/address.js';
import { systemClock } from '../runtime/clock.js';
import { HttpServer } from '../runtime/http-server.js';
import type { Part } from '../runtime/lifecycle.js';
import type { Logger } from '../runtime/log.js';
import { BindingCache } from '../selection/binding-cache.js';
import { Selector } from '../selection/selector.js';
import type { SelectionConfig } from './config.js';
import { Metrics } from './metrics.js';

/**
 * What etcd said less than this share of a linger ago still exists: the rest of the linger is for a release that
 * etcd wrote down later than its lease began to run.
 */
const trustShare = 0.8;
/** Requests under way when the replica is told to stop get this long, ms. */
const stopGraceMs = 2_000;

/** One replica of the selection service: builds the parts, joins them, starts and stops them in order. */
export class Replica implements Part {
  readonly #log: Logger;
  readonly #etcd: readonly string[];
  readonly #connection: EtcdConnection;
  readonly #directory: RelayDirectory;
  readonly #moves: MoveFeed;
  readonly #grpc: GrpcServer;
  readonly #http: HttpServer;
  readonly #gateway: NgGateway | undefined;
  readonly selector: Selector;
  #ready = false;
  #stopped: Promise<void> | undefined;

  constructor(config: SelectionConfig, log: Logger) {
    const clock = systemClock;
    this.#log = log;
    this.#etcd = config.etcd;
    const connection = new EtcdConnection({
      endpoints: config.etcd,
      username: config.etcdUsername,
      password: config.etcdPassword,
      timeoutMs: config.etcdTimeoutMs,
    });
    this.#connection = connection;
    const keys = new Keyspace(config.etcdPrefix);
    const shared = { connection, keys, clock, log };
    const cache = new BindingCache(config.cacheEntries, config.lingerSeconds * 1_000 * trustShare);
    const placement = new Placement(config.placement);
    const commits = new GroupCommit(connection);
    const store = new BindingStore({ ...shared, commits, buckets: new LeaseBuckets(connection, clock) });
    this.#directory = new RelayDirectory(shared);
    this.#directory.subscribe(({ type, relay }) => {
      const { set, id } = relay.relay;
      if (type === 'left') placement.remove(set, id);
      else placement.put(relay);
    });
    this.#moves = new MoveFeed(shared, {
      onMove: (callKey, revision) => cache.hearMove(callKey, revision),
      onPast: (callKey) => cache.forgetMove(callKey),
      onGap: () => cache.distrust(),
    });
    const live = () => this.#directory.live && this.#moves.live;
    this.selector = new Selector(
      { store, directory: this.#directory, placement, cache, hearsMoves: () => this.#moves.live, clock, log },
      config,
    );
    const metrics = new Metrics();
    metrics.watch({
      selector: this.selector.counters,
      commits: commits.counters,
      waiting: () => commits.waiting,
      cachedBindings: () => cache.size,
      relays: () => this.#directory.list().length,
      live,
    });
    const notReady = () =>
      this.#ready ? undefined : 'this replica has not read from etcd yet what relays there are';
    const observer = { metrics, log, notReady };
    this.#grpc = new GrpcServer({
      listen: config.grpcListen,
      selection: selectionService(this.selector, observer),
      relays: relayService({
        ...shared,
        directory: this.#directory,
        store,
        intents: new IntentStore(connection, keys),
        observer,
      }),
    });
    if (config.ngListen) {
      const gateway = new NgGateway({
        listen: config.ngListen,
        admission: { allowed: config.ngAllow, perSourcePerSecond: config.ngRate },
        set: config.ngSet,
        callTtlSeconds: config.callTtlSeconds,
        selector: this.selector,
        directory: this.#directory,
        // It serves to its last moment: proxies cannot be told to go elsewhere.
        notReady: () => (this.#stopped ? undefined : notReady()),
        clock,
        log,
      });
      metrics.watchGateway(() => gateway.counters);
      this.#gateway = gateway;
    }
    this.#http = new HttpServer({
      listen: config.httpListen,
      metrics: metrics.registry,
      notReady,
    });
  }

  get grpcAddress(): string {
    return this.#grpc.address;
  }

  get httpAddress(): string {
    return this.#http.address;
  }

  /** Where SIP proxies reach the gateway; empty if there is none. */
  get ngAddresses(): string[] {
    return (this.#gateway?.addresses ?? []).map(formatAddress);
  }

  /** What the gateway has counted since the start; empty if there is none. */
  get ngCounters(): Readonly<Record<string, number>> {
    return this.#gateway?.counters ?? {};
  }

  /** Listens at once, so that probes are answered; resolves when ready, however long etcd takes to appear. */
  async start(): Promise<void> {
    await this.#http.start();
    await this.#grpc.start();
    await this.#gateway?.start();
    const ng = this.ngAddresses;
    const listening = { grpc: this.grpcAddress, http: this.httpAddress, ng, etcd: this.#etcd };
    this.#log.info(listening, 'listening; reading etcd');
    await Promise.all([this.#directory.start(), this.#moves.start()]);
    if (this.#stopped) return;
    this.#ready = true;
    this.#grpc.setServing(true);
    this.#log.info(
      { grpc: this.grpcAddress, http: this.httpAddress, relays: this.#directory.list().length },
      'ready',
    );
  }

  /** Not ready first, then the requests under way, then the rest. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stopInOrder();
    return this.#stopped;
  }

  async #stopInOrder(): Promise<void> {
    this.#ready = false;
    await Promise.all([this.#grpc.stop(stopGraceMs), this.#gateway?.stop()]);
    await Promise.all([this.#directory.stop(), this.#moves.stop()]);
    await this.#http.stop();
    this.#connection.close();
  }
}
