import type { EventEmitter } from 'node:events';
import { type CallOptions, InterceptingCall, type Interceptor } from '@grpc/grpc-js';
import { noop } from 'cockatiel';
import {
  castGrpcError,
  Etcd3,
  type IDuplexStream,
  type ILeaseKeepAliveRequest,
  type ILeaseKeepAliveResponse,
  type IOptions,
  type IRangeRequest,
  type IRangeResponse,
  type IResponseStream,
  type ITxnRequest,
  type ITxnResponse,
  type IWatchRequest,
  type IWatchResponse,
  isRecoverableError,
} from 'etcd3';

export interface EtcdSettings {
  /** `http://HOST:PORT` or `HOST:PORT`, one per member; at least one. */
  readonly endpoints: readonly string[];
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** Most that one unary call may take, ms. */
  readonly timeoutMs: number;
}

/**
 * The way to etcd. Three sets of etcd3 clients, because one client shares a channel and a fault policy between all
 * its calls: a read that timed out would break the lease keepalives. None of them retries by itself: a write that
 * is repeated unseen reports «not created» for its own value. All errors are etcd3's own.
 */
export class EtcdConnection {
  readonly #kv: Members;
  readonly #lease: Members;
  readonly #watch: Members;

  /** Opens no socket: the clients connect with their first call. */
  constructor(settings: EtcdSettings) {
    this.#kv = new Members(settings);
    this.#lease = new Members(settings);
    this.#watch = new Members(settings);
  }

  range(request: IRangeRequest, options?: CallOptions): Promise<IRangeResponse> {
    return this.#kv.call((client) => client.kv.range(request, options));
  }

  /** Asks something that only a quorum can answer. */
  probe(key: string, timeoutMs: number): Promise<unknown> {
    return this.range({ key: Buffer.from(key), keys_only: true }, { deadline: Date.now() + timeoutMs });
  }

  txn(request: ITxnRequest): Promise<ITxnResponse> {
    return this.#kv.call((client) => client.kv.txn(request));
  }

  /** @returns the id of a new lease that lives `ttlSeconds`; etcd may make short ones longer. */
  grantLease(ttlSeconds: number): Promise<string> {
    return this.#lease.call(async (client) => (await client.leaseClient.leaseGrant({ TTL: ttlSeconds })).ID);
  }

  revokeLease(id: string): Promise<unknown> {
    return this.#lease.call((client) => client.leaseClient.leaseRevoke({ ID: id }));
  }

  keepLeaseAlive(): Promise<IDuplexStream<ILeaseKeepAliveRequest, ILeaseKeepAliveResponse>> {
    return this.#lease.stream((client) => client.leaseClient.leaseKeepAlive());
  }

  watch(): Promise<IDuplexStream<IWatchRequest, IWatchResponse>> {
    return this.#watch.stream((client) => client.watchClient.watch({ interceptors: [requireLeader] }));
  }

  close(): void {
    for (const members of [this.#kv, this.#lease, this.#watch]) members.close();
  }
}

/**
 * The members of the etcd cluster, one client each. Calls stay with one member until it fails, then go to the
 * next: etcd3's own way, a random member for each call, would fail every third call while one of three is down.
 */
class Members {
  readonly #clients: readonly Etcd3[];
  #current = 0;

  constructor({ endpoints, ...settings }: EtcdSettings) {
    this.#clients = endpoints.map((endpoint) => new Etcd3(clientOptions(endpoint, settings)));
  }

  async call<T>(use: (client: Etcd3) => Promise<T>): Promise<T> {
    const member = this.#current;
    try {
      return await use(this.#clients[member] as Etcd3);
    } catch (error) {
      this.#leave(member, error);
      throw error;
    }
  }

  async stream<T extends IResponseStream<unknown>>(open: (client: Etcd3) => Promise<T>): Promise<T> {
    const member = this.#current;
    const stream = await this.call(open);
    // etcd3's own listener would close the channel, and with it the calls under way beside this stream.
    (stream as unknown as EventEmitter).removeAllListeners('error');
    // A stream's errors are grpc-js's own. One that was given up for being silent ends as cancelled, and moves on too.
    stream.on('error', (error) => this.#leave(member, castGrpcError(error)));
    return stream;
  }

  close(): void {
    for (const client of this.#clients) client.close();
  }

  /** Only the first of many calls that fail together moves on; the rest would skip members unseen. */
  #leave(member: number, error: unknown): void {
    if (this.#current === member && error instanceof Error && isRecoverableError(error))
      this.#current = (member + 1) % this.#clients.length;
  }
}

/**
 * Without it, etcd keeps a watch open on a member that is cut off from the others, and it hears nothing for as long as
 * that lasts; with it, the member ends the watch, and the next one is opened elsewhere (etcd's clientv3.WithRequireLeader).
 */
const requireLeader: Interceptor = (options, nextCall) =>
  new InterceptingCall(nextCall(options), {
    start(metadata, listener, next) {
      metadata.set('hasleader', 'true');
      next(metadata, listener);
    },
  });

function clientOptions(host: string, settings: Omit<EtcdSettings, 'endpoints'>): IOptions {
  const { username, password, timeoutMs } = settings;
  return {
    hosts: host,
    ...(username ? { auth: { username, password: password ?? '' } } : {}),
    faultHandling: { host: () => noop, global: noop },
    // Streams must have no deadline: a watch is meant to last.
    defaultCallOptions: (context) => (context.isStream ? {} : { deadline: Date.now() + timeoutMs }),
    grpcOptions: {
      // Half-open connections are noticed by pings alone; etcd refuses clients that ping more often than 5 s.
      'grpc.keepalive_time_ms': 6000,
      'grpc.keepalive_timeout_ms': 2000,
      'grpc.keepalive_permit_without_calls': 1,
      // etcd may be away for long; when it is back, minutes of backoff would be an outage of our own.
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.min_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 1000,
      // A page of bindings or of registrations may pass gRPC's default of 4 MiB.
      'grpc.max_receive_message_length': 64 * 1024 * 1024,
      // Each client has a channel of its own, so that closing one closes nobody else's.
      'grpc.use_local_subchannel_pool': 1,
    },
  };
}
