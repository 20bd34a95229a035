import { type AddressInfo, createServer, type Socket } from 'node:net';
import { getHeapStatistics } from 'node:v8';
import {
  Server,
  ServerCredentials,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import {
  AuthService,
  ClusterService,
  KVService,
  LeaseService,
  MaintenanceService,
  WatchService,
} from '../../proto/generated/etcd/rpc.js';
import { formatAddress } from '../runtime/address.js';
import { type Clock, systemClock } from '../runtime/clock.js';
import { listen } from '../runtime/listen.js';
import { type Logger, silentLogger } from '../runtime/log.js';
import { authService, clusterService, maintenanceService } from './admin-services.js';
import { OpenCalls } from './handlers.js';
import { kvService } from './kv-service.js';
import { leaseService } from './lease-service.js';
import { loopbackAddress } from './loopback.js';
import { withSizedRequests } from './request-size.js';
import { EtcdState } from './state.js';
import { Watches } from './watches.js';

export interface EmbeddedEtcdOptions {
  /** A loopback address; default 127.0.0.1. */
  readonly host?: string;
  /** Default 0: the system chooses a free one. */
  readonly port?: number;
  readonly clock?: Clock;
  readonly log?: Logger;
  /** Past events kept for watchers and reads at old revisions; default 100,000. */
  readonly maxHistoryEvents?: number;
  /** Bytes of superseded versions kept; default 256 MiB. */
  readonly maxHistoryBytes?: number;
  /** Bytes of keys, values and their overhead beyond which puts are refused; default half of the heap limit. */
  readonly quotaBytes?: number;
  /** How often an idle watcher that requested progress notices receives one; default 10 minutes. */
  readonly progressIntervalMs?: number;
}

/** etcd refuses requests of more than 1.5 MiB itself; gRPC refuses what exceeds that and half a MiB of overhead. */
const maxReceiveBytes = 2 * 1024 * 1024;
/** Far above what replicas, relay nodes and tools of one machine open; more are dropped. */
const maxConnections = 1000;
/** How long clients have to read their last answers before their connections are cut. */
const closeTimeoutMs = 500;

/** An in-memory server of the etcd v3 API for one machine. Nothing is kept on disk: `stop()` loses all data. */
export class EmbeddedEtcd {
  readonly #host: string;
  readonly #port: number;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #state: EtcdState;
  readonly #watches: Watches;
  readonly #calls = new OpenCalls();
  readonly #sockets = new Set<Socket>();
  readonly #listener = createServer({ noDelay: true }, (socket) => this.#accept(socket));
  #accept: (socket: Socket) => void = (socket) => socket.destroy();
  #server: Server | undefined;
  #endpoint: string | undefined;
  #stopping: Promise<void> | undefined;

  constructor(options: EmbeddedEtcdOptions = {}) {
    const clock = options.clock ?? systemClock;
    this.#host = loopbackAddress(options.host ?? '127.0.0.1');
    this.#port = options.port ?? 0;
    this.#clock = clock;
    this.#log = options.log ?? silentLogger;
    const limits = {
      maxEvents: options.maxHistoryEvents ?? 100_000,
      maxBytes: options.maxHistoryBytes ?? 256 * 1024 * 1024,
    };
    const quotaBytes = options.quotaBytes ?? getHeapStatistics().heap_size_limit / 2;
    this.#state = new EtcdState(clock, limits, quotaBytes);
    this.#watches = new Watches(this.#state, clock, this.#log, options.progressIntervalMs ?? 600_000);
    this.#listener.maxConnections = maxConnections;
  }

  /** Where clients connect, as host:port; known once started. */
  get endpoint(): string {
    if (this.#endpoint === undefined) {
      throw new Error('the embedded etcd has not been started');
    }
    return this.#endpoint;
  }

  /** Resolves when clients can connect. @throws Error naming the address, if it cannot be listened on */
  async start(): Promise<void> {
    if (this.#server) {
      throw new Error('the embedded etcd has been started already');
    }
    const server = this.#createServer();
    this.#server = server;
    // grpc-js listens without handling errors of accept(2), which would end the process.
    const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
    this.#accept = (socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      // The session handles 'close'; without this listener a late error would end the process.
      socket.on('error', () => {});
      injector.injectConnection(socket);
    };
    const address = { host: this.#host, port: this.#port };
    await listen(this.#listener, address, 'the embedded etcd', { clock: this.#clock, log: this.#log });
    const { port } = this.#listener.address() as AddressInfo;
    this.#endpoint = formatAddress({ host: this.#host, port });
    this.#watches.start();
    this.#log.info(
      { endpoint: this.#endpoint },
      'embedded etcd: for one machine only, keeps nothing on disk',
    );
  }

  /** Ends all calls; resolves when the port is free. */
  stop(): Promise<void> {
    this.#stopping ??= this.#close();
    return this.#stopping;
  }

  async #close(): Promise<void> {
    this.#watches.stop();
    this.#state.lessor.stop();
    // The only error of either is that it was not running.
    const closed = [
      new Promise<void>((resolve) => this.#listener.close(() => resolve())),
      new Promise<void>((resolve) => (this.#server ? this.#server.tryShutdown(() => resolve()) : resolve())),
    ];
    this.#calls.endAll();
    // Real connections end in real time, whatever clock the leases run by.
    const cancel = systemClock.after(closeTimeoutMs, () => {
      for (const socket of this.#sockets) {
        socket.destroy();
      }
    });
    await Promise.all(closed);
    cancel();
  }

  #createServer(): Server {
    const server = new Server({
      'grpc.max_receive_message_length': maxReceiveBytes,
      'grpc.max_send_message_length': -1,
      'grpc.enable_channelz': 0,
    });
    const add = (definition: ServiceDefinition, methods: UntypedServiceImplementation) =>
      server.addService(withSizedRequests(definition), methods);
    add(KVService, kvService(this.#state, this.#log));
    add(WatchService, this.#watches.service(this.#calls));
    add(LeaseService, leaseService(this.#state, this.#log, this.#calls));
    add(
      ClusterService,
      clusterService(this.#state, this.#log, () => this.endpoint),
    );
    add(MaintenanceService, maintenanceService(this.#state, this.#log));
    add(AuthService, authService(this.#state, this.#log));
    return server;
  }
}
