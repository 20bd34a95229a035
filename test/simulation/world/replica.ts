import { RelayServiceService } from '../../../proto/generated/holdfast/v1/relay.js';
import { ng } from '../../../services/control/ng/protocol.js';
import { Events } from '../../../services/domain/events.js';
import { waitForEtcd } from '../../../services/etcd/wait-for-etcd.js';
import { noMemory } from '../../../services/gateway/call-memory.js';
import { ControlInquiry } from '../../../services/gateway/control-inquiry.js';
import { Gateway } from '../../../services/gateway/gateway.js';
import { NgFront } from '../../../services/gateway/ng/front.js';
import { RelayClients } from '../../../services/gateway/relay-clients.js';
import { relayService } from '../../../services/grpc/relay-service.js';
import { selectionService } from '../../../services/grpc/selection-service.js';
import { EventRing } from '../../../services/history/event-ring.js';
import { IntentStore } from '../../../services/registry/intent-store.js';
import { Keyspace } from '../../../services/registry/keyspace.js';
import { RelayDirectory } from '../../../services/registry/relay-directory.js';
import { Engine } from '../../../services/selection/engine.js';
import { noMetrics } from '../../../services/selection/front-metrics.js';
import type { WithoutQuorumMode } from '../../../services/selection/outage/outage-fallback.js';
import type { SelectorSettings } from '../../../services/selection/ttl-policy.js';
import { type Host, SimProcess } from '../kernel/process.js';
import { RpcServer } from '../network/rpc-server.js';
import { type ConnectionOptions, connect, etcdTimeoutMs } from './connection.js';

export const keys = new Keyspace('/holdfast/v1');
export const grpcPort = 9090;
export const ngPort = 2223;

const allNetworks = [{ address: '10.0.0.0', prefixLength: 8 }];

export interface ReplicaOptions extends ConnectionOptions {
  readonly host: Host;
  readonly name: string;
  readonly settings: SelectorSettings;
  readonly withoutQuorum: WithoutQuorumMode;
}

/** A replica as `services/replica/replica.ts` builds it, with the simulated network in place of its listeners. */
export class Replica {
  #process: SimProcess | undefined;
  /** How often it was started. */
  life = 0;
  #isReady = false;

  constructor(private readonly options: ReplicaOptions) {}

  get name(): string {
    return this.options.name;
  }

  get host(): Host {
    return this.options.host;
  }

  get process(): SimProcess | undefined {
    return this.#process?.isDead ? undefined : this.#process;
  }

  get isReady(): boolean {
    return this.process !== undefined && this.#isReady;
  }

  get grpcAddress(): string {
    return `${this.host.address}:${grpcPort}`;
  }

  kill(): void {
    this.#process?.kill();
  }

  start(): void {
    if (this.process) {
      return;
    }
    const { name, host } = this.options;
    const process = new SimProcess(`${name}.${++this.life}`, host);
    this.#process = process;
    this.#isReady = false;
    process.enter(() => void this.#run(process));
  }

  async #run(process: SimProcess): Promise<void> {
    const { rpc, host, settings, withoutQuorum } = this.options;
    const { connection, clock, log } = connect(process, this.options);
    const events = new Events();
    const directory = new RelayDirectory({ connection, keys, clock, log, massLossPercent: 15 });
    const clients = new RelayClients({ protocols: [ng.name], directory, clock, log });
    const inquiry = new ControlInquiry(clients, { ng: noMemory(ng) });
    const shared = { connection, keys, directory, events, inquiry, clock, log };
    const engine = new Engine(shared, {
      ...settings,
      placement: 'least-loaded',
      withoutQuorum,
      cacheEntries: 10_000,
      provisionalEntries: 10_000,
      etcdTimeoutMs,
    });
    const notReady = () => (this.#isReady && this.#process === process ? undefined : 'not ready');
    const metrics = noMetrics;
    const observer = { metrics, clock, log, notReady };
    const server = new RpcServer(process, this.grpcAddress);
    const selection = selectionService(engine.selector, observer);
    server.add(selection.definition, selection.methods);
    const intents = new IntentStore(connection, keys);
    const unasked = () => {
      throw new Error('no client of this world asks for it');
    };
    const told = { gone: () => [], feed: new EventRing(clock), status: unasked };
    server.add(
      RelayServiceService,
      relayService({ ...shared, ...told, store: engine.store, intents, observer }),
    );
    rpc.listen(server);
    const listeners = [{ address: { host: host.address, port: ngPort }, scope: { set: undefined } }];
    const gateway = new Gateway(
      {
        router: engine.selector,
        clients,
        directory,
        memory: noMemory(ng),
        openFront: (deps) => new NgFront(deps, { listeners, passed: [] }),
        notReady,
        metrics,
        clock,
        log,
      },
      {
        admission: { allowed: allNetworks, perSourcePerSecond: 0 },
        callTtlSeconds: settings.callTtlSeconds,
      },
    );
    await gateway.start();
    await waitForEtcd(shared, Buffer.from(keys.relays), new AbortController().signal);
    clients.start();
    await engine.start(process.name);
    this.#isReady = true;
  }
}
