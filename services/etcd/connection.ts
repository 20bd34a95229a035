import { type CallOptions, InterceptingCall, type Interceptor } from '@grpc/grpc-js';
import type {
  IDuplexStream,
  ILeaseKeepAliveRequest,
  ILeaseKeepAliveResponse,
  IRangeRequest,
  IRangeResponse,
  IWatchRequest,
  IWatchResponse,
} from 'etcd3';
import type { TlsFiles } from '../runtime/tls-files.js';
import { EtcdHistory, type HistoryChange } from './history.js';
import { EtcdLogin } from './login.js';
import { MemberClients } from './member-clients.js';
import type { Compare, Txn, TxnResult } from './txn-codec.js';

export interface EtcdConnectionOptions {
  /** `http://HOST:PORT`, `https://HOST:PORT` or `HOST:PORT`, one per member; at least one. */
  readonly endpoints: readonly string[];
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** Certificates for `https://` endpoints. */
  readonly tls?: TlsFiles | undefined;
  /** Limit of one unary call, ms. */
  readonly timeoutMs: number;
}

/** What a probe needs the permission for: no key need exist. */
export interface ProbedKeys {
  readonly reads: string;
  readonly writes: string;
}

/**
 * The calls to etcd that Holdfast makes. None is retried here; the next call after a failure goes to another member.
 *
 * Reads and writes, leases and watches have clients of their own: one client shares its channel between all its calls,
 * so that a read that timed out would break the keepalives of leases. Errors are etcd3's and grpc-js's own, or an
 * `EtcdTrustError`.
 */
export class EtcdConnection {
  readonly #kv: MemberClients;
  readonly #lease: MemberClients;
  readonly #watch: MemberClients;
  readonly #history = new EtcdHistory();
  readonly #login: EtcdLogin | undefined;
  readonly memberCount: number;

  /** Opens no socket: the clients connect with their first call. */
  constructor({ username, password = '', ...options }: EtcdConnectionOptions) {
    const login =
      username === undefined ? undefined : new EtcdLogin(new MemberClients(options), username, password);
    this.#kv = new MemberClients(options, login);
    this.#lease = new MemberClients(options, login);
    this.#watch = new MemberClients(options, login, [requireLeader]);
    this.#login = login;
    this.memberCount = options.endpoints.length;
  }

  /** The listener hears that etcd may have lost what was written to it. */
  onHistoryChange(listener: (change: HistoryChange) => void): void {
    this.#history.onChange(listener);
  }

  async range(request: IRangeRequest, options?: CallOptions): Promise<IRangeResponse> {
    const judge = this.#history.begin();
    const answer = await this.#kv.call(async (client) => {
      const response = await client.kv.range(request, options);
      assertEtcd(response.header?.cluster_id);
      return response;
    });
    judge({ clusterId: answer.header.cluster_id, revision: Number(answer.header.revision) });
    return answer;
  }

  /**
   * A write that changes nothing. etcd answers it as it would answer any other: not without a quorum, not without space
   * left, and only to a user who is permitted to read the one key and to write the other.
   */
  probe({ reads, writes }: ProbedKeys, timeoutMs: number): Promise<unknown> {
    const never: Compare = { result: 'Equal', target: 'Mod', key: Buffer.from(reads), mod_revision: -1 };
    const put = { request_put: { key: Buffer.from(writes), value: Buffer.alloc(0) } };
    return this.txn({ compare: [never], success: [put] }, { deadline: Date.now() + timeoutMs });
  }

  async txn(request: Txn, options?: CallOptions): Promise<TxnResult> {
    const judge = this.#history.begin();
    const result = await this.#kv.call(async (client) => {
      const response = await (client.kv as unknown as TxnClient).txn(request, options);
      assertEtcd(response.clusterId);
      return response;
    });
    judge(result);
    return result;
  }

  /** @returns the id of a new lease; etcd may lengthen a short `ttlSeconds` */
  grantLease(ttlSeconds: number): Promise<string> {
    return this.#lease.call(async (client) => (await client.leaseClient.leaseGrant({ TTL: ttlSeconds })).ID);
  }

  /** How long ago a lease was granted or renewed, in whole seconds; Infinity if there is none. */
  async leaseAgeSeconds(id: string): Promise<number> {
    const { TTL, grantedTTL } = await this.#lease.call((client) =>
      client.leaseClient.leaseTimeToLive({ ID: id }),
    );
    return Number(TTL) < 0 ? Number.POSITIVE_INFINITY : Number(grantedTTL) - Number(TTL);
  }

  revokeLease(id: string): Promise<unknown> {
    return this.#lease.call((client) => client.leaseClient.leaseRevoke({ ID: id }));
  }

  keepLeaseAlive(): Promise<IDuplexStream<ILeaseKeepAliveRequest, ILeaseKeepAliveResponse>> {
    return this.#lease.stream((client) => client.leaseClient.leaseKeepAlive());
  }

  watch(): Promise<IDuplexStream<IWatchRequest, IWatchResponse>> {
    return this.#watch.stream((client) => client.watchClient.watch());
  }

  close(): void {
    for (const members of [this.#kv, this.#lease, this.#watch, this.#login]) {
      members?.close();
    }
  }
}

/** An empty message is a valid answer in protobuf, and could come from anywhere. @throws Error, which is no answer */
function assertEtcd(clusterId: string | undefined): void {
  if (!clusterId || clusterId === '0') {
    throw new Error('the answer names no cluster: it is not from an etcd');
  }
}

/** The `kv` of an etcd3 client with the options of `MemberClient`. */
interface TxnClient {
  txn(request: Txn, options?: CallOptions): Promise<TxnResult>;
}

/**
 * Makes a member that is cut off from the others end its watches (etcd's clientv3.WithRequireLeader), so that the next
 * one is opened elsewhere. Otherwise they stay open and silent for as long as that lasts.
 */
const requireLeader: Interceptor = (options, nextCall) =>
  new InterceptingCall(nextCall(options), {
    start(metadata, listener, next) {
      metadata.set('hasleader', 'true');
      next(metadata, listener);
    },
  });
