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
import { EtcdHistory } from './history.js';
import { EtcdLogin } from './login.js';
import { MemberClients } from './member-clients.js';
import type { Txn, TxnResult } from './txn-codec.js';

export interface EtcdSettings {
  /** `http://HOST:PORT` or `HOST:PORT`, one per member; at least one. */
  readonly endpoints: readonly string[];
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** Certificates for `https://` endpoints. */
  readonly tls?: TlsFiles | undefined;
  /** Most that one unary call may take, ms. */
  readonly timeoutMs: number;
}

/**
 * The way to etcd. Three sets of etcd3 clients, because one client shares a channel and a fault policy between all
 * its calls: a read that timed out would break the lease keepalives. None of them retries by itself: a write that
 * is repeated unseen reports «not created» for its own value. All errors are etcd3's own, or say what to change where
 * etcd and this process do not trust each other.
 */
export class EtcdConnection {
  readonly #kv: MemberClients;
  readonly #lease: MemberClients;
  readonly #watch: MemberClients;
  readonly #history = new EtcdHistory();
  readonly #login: EtcdLogin | undefined;
  /** How many members there are to ask. */
  readonly memberCount: number;

  /** Opens no socket: the clients connect with their first call. */
  constructor({ username, password = '', ...settings }: EtcdSettings) {
    const login =
      username === undefined ? undefined : new EtcdLogin(new MemberClients(settings), username, password);
    this.#kv = new MemberClients(settings, login);
    this.#lease = new MemberClients(settings, login);
    this.#watch = new MemberClients(settings, login, [requireLeader]);
    this.#login = login;
    this.memberCount = settings.endpoints.length;
  }

  /** The listener hears why etcd may have lost what was written to it. */
  onHistoryChange(listener: (reason: string) => void): void {
    this.#history.onChange(listener);
  }

  async range(request: IRangeRequest, options?: CallOptions): Promise<IRangeResponse> {
    const judge = this.#history.begin();
    const answer = await this.#kv.call((client) => client.kv.range(request, options));
    judge({ clusterId: String(answer.header.cluster_id), revision: Number(answer.header.revision) });
    return answer;
  }

  /** Asks something that only a quorum can answer. */
  probe(key: string, timeoutMs: number): Promise<unknown> {
    return this.range({ key: Buffer.from(key), keys_only: true }, { deadline: Date.now() + timeoutMs });
  }

  async txn(request: Txn): Promise<TxnResult> {
    const judge = this.#history.begin();
    const result = await this.#kv.call((client) => (client.kv as unknown as TxnClient).txn(request));
    judge(result);
    return result;
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
    return this.#watch.stream((client) => client.watchClient.watch());
  }

  close(): void {
    for (const members of [this.#kv, this.#lease, this.#watch, this.#login]) {
      members?.close();
    }
  }
}

/** What an etcd3 client's `kv` is with the options that `MemberClients` gives it. */
interface TxnClient {
  txn(request: Txn): Promise<TxnResult>;
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
