import { hostname } from 'node:os';
import { ng } from '../control/ng/protocol.js';
import type { ProtocolName } from '../control/protocol.js';
import { Events } from '../domain/events.js';
import { configuredConnection } from '../etcd/configured-connection.js';
import type { EtcdConnection } from '../etcd/connection.js';
import { MemberFollower } from '../etcd/member-follower.js';
import { OutageLog } from '../etcd/outage-log.js';
import { waitForEtcd } from '../etcd/wait-for-etcd.js';
import { noMemory } from '../gateway/call-memory.js';
import { ControlInquiry } from '../gateway/control-inquiry.js';
import { Gateway } from '../gateway/gateway.js';
import { NgFront } from '../gateway/ng/front.js';
import { RelayClients } from '../gateway/relay-clients.js';
import { RtpproxyFront } from '../gateway/rtpproxy/front.js';
import { SessionMemory } from '../gateway/rtpproxy/session-memory.js';
import { relayService } from '../grpc/relay-service.js';
import { selectionService } from '../grpc/selection-service.js';
import { GrpcServer } from '../grpc/server.js';
import { EventHistory } from '../history/event-history.js';
import { GoneRelays } from '../history/gone-relays.js';
import { Page } from '../page/page.js';
import { type ReplicaState, shown } from '../page/state.js';
import { statusOf } from '../page/status.js';
import { newInstanceId } from '../registry/instance-id.js';
import { IntentStore } from '../registry/intent-store.js';
import { Keyspace } from '../registry/keyspace.js';
import { RelayDirectory } from '../registry/relay-directory.js';
import { formatAddress, isLoopback } from '../runtime/address.js';
import { reportCertificates } from '../runtime/certificate-metric.js';
import { sleep, systemClock } from '../runtime/clock.js';
import { HttpServer } from '../runtime/http-server.js';
import type { Component } from '../runtime/lifecycle.js';
import type { Logger } from '../runtime/log.js';
import { etcdTls, type TlsFiles } from '../runtime/tls-files.js';
import { Engine } from '../selection/engine.js';
import { retryTimeoutMs } from '../selection/retry.js';
import type { Selector } from '../selection/selector.js';
import type { SelectionConfig } from './config.js';
import { logEvents } from './event-log.js';
import { externalMetricsTls, openExternalMetrics } from './external-metrics.js';
import { grpcAuthorization, grpcTls } from './grpc-access.js';
import { openHep } from './hep.js';
import { Metrics } from './metrics.js';
import { reportRelays } from './relay-metrics.js';
import { Traffic } from './traffic.js';
import { watched } from './watched-front.js';

/** One replica of the selection service: builds the parts, joins them, starts and stops them in order. */
export class Replica implements Component {
  readonly #log: Logger;
  readonly #etcd: readonly string[];
  readonly #certificates: readonly TlsFiles[];
  readonly #contact: (signal: AbortSignal) => Promise<void>;
  readonly #connection: EtcdConnection;
  readonly #follower: MemberFollower;
  readonly #engine: Engine;
  readonly #clients: RelayClients;
  readonly #grpc: GrpcServer;
  readonly #http: HttpServer;
  readonly #externalMetrics: HttpServer | undefined;
  readonly #gone: GoneRelays;
  readonly #history: EventHistory;
  readonly #hep: ReturnType<typeof openHep>;
  readonly #gateways: Partial<Record<ProtocolName, Gateway>> = {};
  readonly selector: Selector;
  readonly #leaveMs: number;
  readonly #stopGraceMs: number;
  readonly #stopping = new AbortController();
  #ready = false;
  #stopped: Promise<void> | undefined;

  /** @param passed descriptors of sockets that are open already, for the gateways: first that of ng */
  constructor(config: SelectionConfig, log: Logger, passed: readonly number[] = []) {
    const clock = systemClock;
    this.#log = log;
    this.#etcd = config.etcd;
    this.#leaveMs = config.leaveSeconds * 1000;
    // As long as a request may take; the other half of the deadline is for all that comes after.
    this.#stopGraceMs = Math.min(
      retryTimeoutMs + config.etcdTimeoutMs,
      (config.stopDeadlineSeconds * 1000) / 2,
    );
    const events = new Events();
    const etcdCertificates = etcdTls(config, { clock, log, events });
    const grpcCertificates = grpcTls(config, { clock, log, events });
    const connection = configuredConnection(config, etcdCertificates);
    this.#connection = connection;
    this.#follower = new MemberFollower({ connection, clock, log });
    const keys = new Keyspace(config.etcdPrefix);
    events.subscribe(logEvents(log, clock));
    const outages = new OutageLog(clock, log);
    const directory = new RelayDirectory({
      connection,
      keys,
      clock,
      log,
      outages,
      massLossPercent: config.massLossPercent,
    });
    const memories = { ng: noMemory(ng), rtpproxy: new SessionMemory(clock) };
    const protocols: ProtocolName[] = [
      ...(config.ngListen ? (['ng'] as const) : []),
      ...(config.rtpproxyListen ? (['rtpproxy'] as const) : []),
    ];
    const clients = new RelayClients({ protocols, directory, clock, log });
    const inquiry = new ControlInquiry(clients, memories);
    const shared = { connection, keys, directory, events, inquiry, clock, log, outages };
    this.#clients = clients;
    this.#contact = (signal) => waitForEtcd(shared, Buffer.from(keys.relays), signal);
    const metrics = new Metrics();
    const engine = new Engine({ ...shared, onCommit: (ms) => metrics.committed(ms) }, config);
    const { commits, quorum, cache, store } = engine;
    this.#engine = engine;
    this.selector = engine.selector;
    metrics.watch({
      selector: () => engine.selector.counters,
      commits: commits.counters,
      quorum: quorum.counters,
      directory: directory.counters,
      waiting: () => commits.waiting,
      cachedBindings: () => cache.size,
      provisionalBindings: () => engine.selector.provisionalBindings,
      relays: () => directory.list().length,
      live: () => engine.live,
      lostForMs: () => quorum.lostForMs,
      differingSettings: () => engine.roster.differing,
    });
    this.#gone = new GoneRelays(clock);
    this.#history = new EventHistory(clock, (set, id) => this.#gone.instanceOf(set, id));
    // What it reads of relays before it is ready is how things are, and no news.
    events.subscribe((event) => {
      if (this.#ready || event.type.startsWith('certificate')) {
        this.#history.hear(event);
      }
    });
    directory.subscribe((change) => this.#gone.hear(change));
    const gone = (set?: string) => this.#gone.list(set);
    reportRelays(metrics.registry, { directory, gone, bindings: () => cache.countsByRelay() });
    const notReady = () =>
      this.#ready ? undefined : 'this replica has not read from etcd yet what relays there are';
    const externalMetricsCertificates = externalMetricsTls(config, { clock, log, events });
    this.#externalMetrics = openExternalMetrics(config, {
      certificates: externalMetricsCertificates,
      relays: () => directory.list(),
      outdated: () =>
        notReady() ??
        quorum.lost?.message ??
        (engine.live ? undefined : 'this replica gets no updates from etcd'),
      metrics: metrics.registry,
      ...{ clock, log },
    });
    const certificates = {
      grpc: grpcCertificates,
      etcd: etcdCertificates,
      'external metrics': externalMetricsCertificates,
    };
    reportCertificates(metrics.registry, certificates);
    this.#certificates = Object.values(certificates).filter((each) => each !== undefined);
    const traffic = new Traffic(clock);
    const frontMetrics = (name: 'grpc' | ProtocolName) =>
      watched(metrics.front(name), { front: name, events, traffic });
    const front = frontMetrics('grpc');
    const state = this.#state(config, { notReady, traffic });
    events.subscribe(({ type, details }) => {
      if (type === 'callBound') {
        traffic.bound(details.set, details.relay);
      }
    });
    const observer = { metrics: front, clock, log, notReady };
    this.#grpc = new GrpcServer({
      listen: config.grpcListen,
      tls: grpcCertificates,
      asksClients: config.grpcTlsClientCa !== undefined,
      authorization: grpcAuthorization(config, { metrics: front, clock, log }),
      maxConnectionAgeMs: config.grpcMaxConnectionAgeSeconds * 1000,
      clock,
      log,
      selection: selectionService(this.selector, observer),
      relays: relayService({
        ...shared,
        directory,
        store,
        gone,
        feed: this.#history.feed,
        status: () => statusOf(state),
        intents: new IntentStore(connection, keys),
        observer,
      }),
    });
    engine.onQuorumChange((lost) => {
      outages.told(lost !== undefined);
      if (config.withoutQuorum === 'strict' && this.#ready) {
        this.#grpc.setServing(!lost);
      }
    });
    this.#hep = openHep(config, shared);
    metrics.watchHep(() => this.#hep?.sender.counters);
    const gatewayDeps = {
      router: engine.selector,
      clients,
      directory,
      // It serves to its last moment: proxies cannot be told to go elsewhere.
      notReady: () => (this.#stopped === undefined ? notReady() : undefined),
      clock,
      log,
    };
    const { callTtlSeconds, ngListen, rtpproxyListen, rtpproxyNotify, rtpproxyNotifyListen } = config;
    if (ngListen) {
      const options = { listeners: ngListen, passed, mirror: this.#hep?.mirror };
      this.#gateways.ng = new Gateway(
        {
          ...gatewayDeps,
          metrics: frontMetrics('ng'),
          memory: memories.ng,
          openFront: (deps) => new NgFront(deps, options),
        },
        { admission: { allowed: config.ngAllow, perSourcePerSecond: config.ngRate }, callTtlSeconds },
      );
    }
    if (rtpproxyListen) {
      const memory = memories.rtpproxy;
      const options = {
        listeners: rtpproxyListen,
        passed: passed.slice(ngListen?.length ?? 0),
        notification:
          rtpproxyNotify && rtpproxyNotifyListen
            ? { listen: rtpproxyNotifyListen, sockets: rtpproxyNotify }
            : undefined,
      };
      this.#gateways.rtpproxy = new Gateway(
        {
          ...gatewayDeps,
          metrics: frontMetrics('rtpproxy'),
          memory,
          openFront: (deps) => new RtpproxyFront({ ...deps, memory }, options),
        },
        {
          admission: { allowed: config.rtpproxyAllow, perSourcePerSecond: config.rtpproxyRate },
          callTtlSeconds,
        },
      );
    }
    const gateways = Object.entries(this.#gateways);
    metrics.watchGateways(() =>
      Object.fromEntries(gateways.map(([protocol, { counters }]) => [protocol, counters])),
    );
    const page = new Page({
      state: shown(state, () => statusOf(state)),
      selector: engine.selector,
      life: newInstanceId(),
      anyHost: config.page === 'on',
    });
    this.#http = new HttpServer({
      clock,
      log,
      listen: config.httpListen,
      metrics: metrics.registry,
      // Without etcd in strict mode another replica may do better; in the other mode this one still serves all calls.
      notReady: () =>
        this.#leaving ?? notReady() ?? (config.withoutQuorum === 'strict' ? quorum.lost?.message : undefined),
      caveat: () => quorum.lost?.message,
      routes: servesPage(config) ? page.routes : undefined,
    });
  }

  #state(
    config: SelectionConfig,
    { notReady, traffic }: { readonly notReady: () => string | undefined; readonly traffic: Traffic },
  ): ReplicaState {
    const { directory, cache, quorum, roster } = this.#engine;
    return {
      clock: systemClock,
      name: () => this.#name,
      notReady,
      relays: () => directory.list(),
      isSuspect: (set: string, id: string) => directory.isSuspect(set, id),
      gone: () => this.#gone.list(),
      absent: () => directory.absent(),
      bindings: () => cache.countsByRelay(),
      traffic: () => traffic.rates(),
      feed: this.#history.feed,
      etcd: {
        lost: () => quorum.lost,
        lostForMs: () => quorum.lostForMs,
        isLive: () => this.#engine.live,
      },
      withoutQuorum: config.withoutQuorum,
      replicas: () => roster.list(),
      certificates: () =>
        this.#certificates.map(({ purpose, current }) => ({ purpose, validUntilMs: current.validUntilMs })),
    };
  }

  get grpcAddress(): string {
    return this.#grpc.address;
  }

  get httpAddress(): string {
    return this.#http.address;
  }

  /** Where Kubernetes reads metrics for its autoscalers; undefined if that is not served. */
  get externalMetricsAddress(): string | undefined {
    return this.#externalMetrics?.address;
  }

  /** Where SIP proxies reach the gateway of a protocol; empty if there is none. */
  gatewayAddresses(protocol: ProtocolName): string[] {
    return (this.#gateways[protocol]?.addresses ?? []).map(formatAddress);
  }

  /** What that gateway has counted since the start; empty if there is none. */
  gatewayCounters(protocol: ProtocolName): Readonly<Record<string, number>> {
    return this.#gateways[protocol]?.counters ?? {};
  }

  /** Listens at once, so that probes are answered; resolves when ready, however long etcd takes to appear. */
  async start(): Promise<void> {
    for (const files of this.#certificates) {
      await files.start();
    }
    await this.#http.start();
    await this.#externalMetrics?.start();
    await this.#grpc.start();
    for (const gateway of Object.values(this.#gateways)) {
      await gateway.start();
    }
    const [ng, rtpproxy] = [this.gatewayAddresses('ng'), this.gatewayAddresses('rtpproxy')];
    const listening = {
      ...{ grpc: this.grpcAddress, http: this.httpAddress, ng, rtpproxy },
      externalMetrics: this.externalMetricsAddress,
      etcd: this.#etcd,
    };
    this.#log.info(listening, 'listening; reading etcd');
    this.#follower.start();
    this.#hep?.sender.start();
    await this.#contact(this.#stopping.signal);
    if (this.#stopped !== undefined) {
      return;
    }
    this.#clients.start();
    await this.#engine.start(this.#name);
    if (this.#stopped !== undefined) {
      return;
    }
    this.#ready = true;
    this.#history.begin(this.#engine.directory.list().length);
    this.#grpc.setServing(true);
    this.#log.info(
      { grpc: this.grpcAddress, http: this.httpAddress, relays: this.#engine.directory.list().length },
      'ready',
    );
  }

  /** Not ready first, so that nobody new comes, then the requests under way, then the rest. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stopInOrder();
    return this.#stopped;
  }

  /** For people: the host, and the address with its real port. */
  get #name(): string {
    return `${hostname()} (gRPC ${this.grpcAddress})`;
  }

  get #leaving(): string | undefined {
    return this.#stopped && 'this replica was told to stop';
  }

  async #stopInOrder(): Promise<void> {
    this.#stopping.abort();
    if (this.#ready) {
      // A load balancer keeps the datagrams of a proxy at the replica that it has chosen for as long as that is ready.
      await sleep(systemClock, this.#leaveMs);
    }
    this.#ready = false;
    const gateways = Object.values(this.#gateways).map((gateway) => gateway.stop());
    await Promise.all([this.#grpc.stop(this.#stopGraceMs), ...gateways]);
    await this.#engine.stop();
    await this.#clients.stop();
    await this.#externalMetrics?.stop();
    await this.#http.stop();
    this.#hep?.sender.stop();
    await this.#follower.stop();
    this.#connection.close();
    for (const files of this.#certificates) {
      files.stop();
    }
  }
}

/** Whoever can connect sees relays and calls: beyond loopback only where that is asked for. */
function servesPage({ page, httpListen }: SelectionConfig): boolean {
  return page === 'on' || (page === 'auto' && isLoopback(httpListen.host));
}
