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
import { Subscribers } from '../runtime/subscribers.js';
import type { TlsFiles } from '../runtime/tls-files.js';
import { ClusterGuard, type WrongClusterError } from './cluster-guard.js';
import { modRevisionIs } from './compare.js';
import { Endpoints } from './endpoints.js';
import type { ChannelFactory } from './handshake-deadline.js';
import { EtcdHistory, type HistoryChange } from './history.js';
import { EtcdLogin } from './login.js';
import { MemberClients } from './member-clients.js';
import type { Txn, TxnResult } from './txn-codec.js';

export interface EtcdConnectionOptions {
  /** `http://HOST:PORT`, `https://HOST:PORT` or `HOST:PORT`, one per member; at least one. */
  readonly endpoints: readonly string[];
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** Certificates for `https://` endpoints. */
  readonly tls?: TlsFiles | undefined;
  /** Limit of one unary call, ms. */
  readonly timeoutMs: number;
  /** In place of channels over TCP. */
  readonly channel?: ChannelFactory | undefined;
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
  readonly #strangers = new Subscribers<WrongClusterError>();
  readonly #guard = new ClusterGuard((error) => this.#strangers.tell(error));
  readonly #endpoints: Endpoints;
  readonly #login: EtcdLogin | undefined;
  readonly memberCount: number;
  /** Resolves when it is known which cluster the endpoints are of; undefined while it is neither known nor asked. */
  #beginning: Promise<void> | undefined;

  /** Opens no socket: the clients connect with their first call. */
  constructor(given: EtcdConnectionOptions) {
    const { username, password = '', endpoints: configured, tls, timeoutMs, channel } = given;
    const endpoints = new Endpoints(configured);
    const options = { endpoints, tls, timeoutMs, channel };
    const onUnanswered = (endpoint: string) => {
      this.#guard.silent(endpoint);
      endpoints.unreached(endpoint);
    };
    const check = (endpoint: string, clusterId: string) => this.#guard.expect(endpoint, clusterId);
    const login =
      username === undefined ? undefined : new EtcdLogin(new MemberClients(options), username, password);
    this.#kv = new MemberClients({ ...options, onUnanswered }, login);
    this.#lease = new MemberClients({ ...options, check }, login);
    this.#watch = new MemberClients({ ...options, check }, login, [requireLeader]);
    this.#login = login;
    this.#endpoints = endpoints;
    this.memberCount = configured.length;
  }

  /** The listener hears that etcd may have lost what was written to it. */
  onHistoryChange(listener: (change: HistoryChange) => void): void {
    this.#history.onChange(listener);
  }

  /** The listener hears of each answer that was refused because it came from another cluster. */
  onStranger(listener: (error: WrongClusterError) => void): void {
    this.#strangers.add(listener);
  }

  /**
   * Asks the members in use who the members are, and reaches them there from now on where the endpoints that are
   * configured do not. A member that is silent loses its streams. To be called all the time.
   * @throws what etcd or grpc-js answered
   */
  async follow(): Promise<void> {
    await this.#begin();
    const checked = await Promise.all(
      [this.#lease, this.#watch].map((members) => members.check(checkTimeoutMs)),
    );
    const answers = checked.flat();
    if (answers.length === 0) {
      answers.push(
        await this.#kv.call(async (client, endpoint) => {
          const response = await client.cluster.memberList({}, { deadline: Date.now() + checkTimeoutMs });
          return { endpoint, response };
        }),
      );
    }
    for (const { endpoint, response } of answers) {
      if (this.#guard.isOther(response.header.cluster_id)) {
        await this.#poll();
        return;
      }
      this.#endpoints.reached(endpoint, response.header.member_id);
      this.#endpoints.follow(response.members);
    }
    this.#guard.retain(this.#endpoints.all);
  }

  async range(request: IRangeRequest, options?: CallOptions): Promise<IRangeResponse> {
    await this.#begin();
    const judge = this.#history.begin();
    const answer = await this.#kv.call(async (client, endpoint) => {
      const response = await client.kv.range(request, options);
      assertEtcd(response.header?.cluster_id);
      this.#guard.admit(endpoint, response.header.cluster_id);
      this.#endpoints.reached(endpoint, response.header.member_id);
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
    const never = modRevisionIs({ key: Buffer.from(reads), revision: -1 });
    const put = { request_put: { key: Buffer.from(writes), value: Buffer.alloc(0) } };
    return this.txn({ compare: [never], success: [put] }, { deadline: Date.now() + timeoutMs });
  }

  async txn(request: Txn, options?: CallOptions): Promise<TxnResult> {
    await this.#begin();
    const judge = this.#history.begin();
    const result = await this.#kv.call(async (client, endpoint) => {
      const response = await (client.kv as unknown as TxnClient).txn(request, options);
      assertEtcd(response.clusterId);
      this.#guard.admit(endpoint, response.clusterId);
      return response;
    });
    judge(result);
    return result;
  }

  /** @returns the id of a new lease; etcd may lengthen a short `ttlSeconds` */
  async grantLease(ttlSeconds: number): Promise<string> {
    await this.#begin();
    return this.#lease.call(async (client, endpoint) => {
      const { header, ID } = await client.leaseClient.leaseGrant({ TTL: ttlSeconds });
      assertEtcd(header?.cluster_id);
      if (this.#guard.isOther(header.cluster_id)) {
        await this.#poll();
      }
      this.#guard.expect(endpoint, header.cluster_id);
      return ID;
    });
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

  async keepLeaseAlive(): Promise<IDuplexStream<ILeaseKeepAliveRequest, ILeaseKeepAliveResponse>> {
    await this.#begin();
    return this.#lease.stream((client) => client.leaseClient.leaseKeepAlive());
  }

  async watch(): Promise<IDuplexStream<IWatchRequest, IWatchResponse>> {
    await this.#begin();
    return this.#watch.stream((client) => client.watchClient.watch());
  }

  /** Of several endpoints, which may be of several clusters, all are asked before the first is used. */
  #begin(): Promise<void> {
    if (this.memberCount === 1) {
      return done;
    }
    this.#beginning ??= this.#ask();
    return this.#beginning;
  }

  async #ask(): Promise<void> {
    const answers = await this.#listAll(this.#endpoints.configured);
    this.#guard.hear(answers);
    this.#kv.trim();
    if (answers.length === 0) {
      this.#beginning = undefined;
    }
  }

  /** Asks all endpoints of which cluster they are now. */
  async #poll(): Promise<void> {
    this.#guard.hear(await this.#listAll(this.#endpoints.all));
    this.#kv.trim();
  }

  async #listAll(endpoints: readonly string[]) {
    const answers: { readonly endpoint: string; readonly clusterId: string }[] = [];
    const ask = async (endpoint: string) => {
      try {
        const { header } = (await this.#kv.list(endpoint, checkTimeoutMs)).response;
        this.#endpoints.reached(endpoint, header.member_id);
        answers.push({ endpoint, clusterId: header.cluster_id });
      } catch {
        this.#guard.silent(endpoint);
      }
    };
    await Promise.all(endpoints.map(ask));
    // In the order of the endpoints, whichever was quicker.
    return answers.sort((a, b) => endpoints.indexOf(a.endpoint) - endpoints.indexOf(b.endpoint));
  }

  close(): void {
    for (const members of [this.#kv, this.#lease, this.#watch, this.#login]) {
      members?.close();
    }
  }
}

/** Limit of a request that each member answers on its own, ms. */
const checkTimeoutMs = 1500;
const done = Promise.resolve();

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
