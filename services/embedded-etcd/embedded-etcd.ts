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
import { type Address, formatAddress, listenError } from '../runtime/address.js';
import { type Clock, systemClock } from '../runtime/clock.js';
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
  /** Default 0: the system chooses one. */
  readonly port?: number;
  readonly clock?: Clock;
  readonly log?: Logger;
  /** Past events kept for watchers and old revisions; default 100,000. */
  readonly maxHistoryEvents?: number;
  /** Bytes of superseded versions kept; default 256 MiB. */
  readonly maxHistoryBytes?: number;
  /** Bytes of keys, values and what they are wrapped in, beyond which puts are refused; default half of the heap. */
  readonly quotaBytes?: number;
  /** How often an idle watcher that asked for it hears of progress; default 10 minutes. */
  readonly progressIntervalMs?: number;
}

/** etcd refuses requests of more than 1.5 MiB itself; gRPC refuses what is beyond that and half a MiB of overhead. */
const maxReceiveBytes = 2 * 1024 * 1024;

/** How long clients may take to read their last answers; those that do not read at all are cut off. */
const farewellMs = 500;

/** An in-memory server of the etcd v3 API for one machine. It keeps nothing: what it holds ends with `stop()`. */
export class EmbeddedEtcd {
  readonly #host: string;
  readonly #port: number;
  readonly #log: Logger;
  readonly #state: EtcdState;
  readonly #watches: Watches;
  readonly #calls = new OpenCalls();
  #server: Server | undefined;
  #endpoint: string | undefined;
  #stopping: Promise<void> | undefined;

  constructor(options: EmbeddedEtcdOptions = {}) {
    const clock = options.clock ?? systemClock;
    this.#host = loopbackAddress(options.host ?? '127.0.0.1');
    this.#port = options.port ?? 0;
    this.#log = options.log ?? silentLogger;
    const limits = {
      maxEvents: options.maxHistoryEvents ?? 100_000,
      maxBytes: options.maxHistoryBytes ?? 256 * 1024 * 1024,
    };
    const quotaBytes = options.quotaBytes ?? getHeapStatistics().heap_size_limit / 2;
    this.#state = new EtcdState(clock, limits, quotaBytes);
    this.#watches = new Watches(this.#state, clock, this.#log, options.progressIntervalMs ?? 600_000);
  }

  /** Where clients connect, as host:port; known once started. */
  get endpoint(): string {
    if (this.#endpoint === undefined) {
      throw new Error('the embedded etcd has not been started');
    }
    return this.#endpoint;
  }

  /** Resolves when clients can connect. */
  async start(): Promise<void> {
    if (this.#server) {
      throw new Error('the embedded etcd has been started already');
    }
    const server = new Server({
      'grpc.max_receive_message_length': maxReceiveBytes,
      'grpc.max_send_message_length': -1,
    });
    this.#server = server;
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
    this.#endpoint = formatAddress({ host: this.#host, port: await this.#bind(server) });
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
    const server = this.#server;
    this.#watches.stop();
    this.#state.lessor.stop();
    if (!server) {
      return;
    }
    const closed = new Promise<void>((resolve) => server.tryShutdown(() => resolve()));
    this.#calls.endAll();
    // Real connections end in real time, whatever clock the leases run by.
    const cancel = systemClock.after(farewellMs, () => server.forceShutdown());
    await closed;
    cancel();
  }

  /** @returns the real port @throws Error naming the address, if it cannot be listened on */
  #bind(server: Server): Promise<number> {
    const address: Address = { host: this.#host, port: this.#port };
    return new Promise((resolve, reject) => {
      server.bindAsync(formatAddress(address), ServerCredentials.createInsecure(), (error, port) => {
        if (!error) {
          return resolve(port);
        }
        server.forceShutdown();
        reject(listenError('the embedded etcd', address, error));
      });
    });
  }
}
