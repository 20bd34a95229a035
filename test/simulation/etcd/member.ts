import { type Metadata, type ServiceDefinition, type ServiceError, status } from '@grpc/grpc-js';
import type { Host } from '../kernel/process.js';
import { SimProcess } from '../kernel/process.js';
import type { RpcNetwork } from '../network/rpc-channel.js';
import { RpcServer, type ServerCall } from '../network/rpc-server.js';
import type { EtcdCluster } from './cluster.js';

/** A status in place of an answer. */
export interface Refusal {
  readonly code: status;
  readonly details: string;
}

/** etcd gives a request up after this time. */
const requestTimeoutMs = 7000;
/** A watch that requires a leader is ended after three election timeouts without one. */
const noLeaderMs = 3000;
/** From a request to what raft has agreed on, ms. */
const commitMs = { least: 0.3, most: 3 };

const learnerRefusal: Refusal = {
  code: status.FAILED_PRECONDITION,
  details: 'etcdserver: rpc not supported for learner',
};
const timedOut: Refusal = { code: status.UNAVAILABLE, details: 'etcdserver: request timed out' };
const noLeader: Refusal = { code: status.UNAVAILABLE, details: 'etcdserver: no leader' };

type Reply = (error: Partial<ServiceError> | null, value?: unknown) => void;
type Handler = (call: unknown, reply?: Reply) => void;

let ids = 0n;

/** One member: what it answers depends on how it is, and on who leads the cluster. */
export class Member {
  readonly id = ++ids;
  readonly endpoint: string;
  #process: SimProcess;
  /** Cut off from the other members, not from its clients. */
  #isIsolated = false;
  /** Requests that wait for a leader. */
  readonly #waiting = new Set<() => void>();
  readonly #streams = new Set<MemberStream>();

  constructor(
    private readonly cluster: EtcdCluster,
    readonly host: Host,
    private readonly rpc: RpcNetwork,
    readonly isLearner: boolean,
  ) {
    this.endpoint = `${host.address}:2379`;
    this.#process = this.#boot();
  }

  get process(): SimProcess {
    return this.#process;
  }

  get votes(): boolean {
    return !this.isLearner;
  }

  /** It hears the other members. */
  get isConnected(): boolean {
    return !this.#process.isDead && !this.#process.isFrozen && !this.#isIsolated;
  }

  /** It can have answers agreed on. */
  get #isServing(): boolean {
    return this.isConnected && this.cluster.leader !== undefined;
  }

  kill(): void {
    this.#process.kill();
    this.cluster.memberChanged();
  }

  start(): void {
    if (this.#process.isDead) {
      this.#process = this.#boot();
      this.cluster.memberChanged();
    }
  }

  freeze(): void {
    this.#process.freeze();
    this.cluster.memberChanged();
  }

  thaw(): void {
    this.#process.thaw();
    this.#rejoin();
  }

  isolate(): void {
    this.#isIsolated = true;
    this.cluster.memberChanged();
    this.#expectLeader();
  }

  join(): void {
    this.#isIsolated = false;
    this.#rejoin();
  }

  leaderElected(): void {
    if (!this.isConnected) {
      return;
    }
    for (const go of [...this.#waiting]) {
      go();
    }
    for (const stream of this.#streams) {
      stream.flush();
    }
  }

  /** False while events do not reach it. */
  get hearsEvents(): boolean {
    return this.isConnected;
  }

  get term(): bigint {
    return BigInt(this.cluster.term);
  }

  #rejoin(): void {
    this.cluster.memberChanged();
    if (this.cluster.leader) {
      this.leaderElected();
    }
  }

  #boot(): SimProcess {
    const process = new SimProcess(`etcd at ${this.host.address}`, this.host);
    const server = new RpcServer(process, this.endpoint, this.cluster.core);
    for (const { definition } of this.cluster.services) {
      for (const [name, method] of Object.entries(definition as ServiceDefinition)) {
        const handle = method.requestStream
          ? (call: ServerCall) => this.#stream(call, name)
          : (call: ServerCall, reply: Reply) => this.#unary(call, name, reply);
        server.add({ [name]: method }, { [name]: handle as never });
      }
    }
    process.onDeath(() => {
      this.#waiting.clear();
      this.#streams.clear();
    });
    this.rpc.listen(server);
    return process;
  }

  /** By the name alone: etcd's services have no method in common. */
  #handler(name: string): Handler {
    for (const { methods } of this.cluster.services) {
      const handler = (methods as unknown as Record<string, Handler | undefined>)[name];
      if (handler) {
        return handler;
      }
    }
    throw new Error(`no service has ${name}`);
  }

  #refusal(path: string, request: unknown): Refusal | undefined {
    return this.isLearner ? learnerRefusal : this.cluster.refusal?.(path, request);
  }

  #unary(call: ServerCall, name: string, reply: Reply): void {
    const refusal = this.#refusal(call.path, call.request);
    if (refusal) {
      reply(refusal);
      return;
    }
    const { core } = this.cluster;
    const { random } = this.rpc.network;
    const agree = () => {
      const delayMs = commitMs.least + random.next() * (commitMs.most - commitMs.least);
      core.after(delayMs, () => {
        // A leader that was lost meanwhile has agreed on it with nobody, or with all.
        if (!this.#isServing && random.chance(0.5)) {
          return wait();
        }
        this.#handler(name)({ request: call.request }, (error, value) =>
          this.#process.enter(() => reply(error, this.stamped(value))),
        );
      });
    };
    const wait = () => {
      const go = () => {
        this.#waiting.delete(go);
        cancel();
        agree();
      };
      const cancel = core.after(requestTimeoutMs, () => {
        this.#waiting.delete(go);
        this.#process.enter(() => reply(timedOut));
      });
      this.#waiting.add(go);
    };
    if (this.#isServing) {
      agree();
    } else {
      wait();
    }
  }

  #stream(call: ServerCall, name: string): void {
    const refusal = this.#refusal(call.path, undefined);
    if (refusal) {
      call.finish(refusal.code, refusal.details);
      return;
    }
    const stream = new MemberStream(this, call);
    this.#streams.add(stream);
    call.once('close', () => this.#streams.delete(stream));
    this.#handler(name)(stream.facade);
    if (!this.#isServing) {
      this.#expectLeader();
    }
  }

  #expectLeader(): void {
    this.#process.after(noLeaderMs, () => {
      if (this.#isServing) {
        return;
      }
      for (const stream of [...this.#streams]) {
        if (requiresLeader(stream.call.metadata)) {
          this.#streams.delete(stream);
          stream.call.finish(noLeader.code, noLeader.details);
          stream.call.emit('close');
        }
      }
    });
  }

  /** The answer, as of this member and term. */
  stamped(value: unknown): unknown {
    const { header } = (value ?? {}) as { header?: object };
    return header
      ? { ...(value as object), header: { ...header, memberId: this.id, raftTerm: this.term } }
      : value;
  }
}

const requiresLeader = (metadata: Metadata) => metadata.get('hasleader').length > 0;

/** A stream of a member. Requests and answers wait while it is cut off. */
class MemberStream {
  readonly #held: unknown[] = [];
  readonly #requests: unknown[] = [];
  readonly facade: object;

  constructor(
    private readonly member: Member,
    readonly call: ServerCall,
  ) {
    this.facade = {
      on: (event: string, listener: (value?: unknown) => void) => {
        if (event === 'data') {
          call.on('data', (request) => this.#receive(request, listener));
        } else if (event !== 'error') {
          call.on(event, listener);
        }
      },
      emit: (event: string, value: unknown) => call.emit(event, value),
      write: (response: unknown) => this.#write(response),
      end: () => call.end(),
      pause: () => {},
      resume: () => {},
    };
    this.#onRequest = () => {};
  }

  #onRequest: (request: unknown) => void;

  flush(): void {
    for (const request of this.#requests.splice(0)) {
      this.#onRequest(request);
    }
    for (const response of this.#held.splice(0)) {
      this.call.write(this.member.stamped(response));
    }
  }

  #receive(request: unknown, listener: (request: unknown) => void): void {
    this.#onRequest = listener;
    if (this.member.hearsEvents) {
      listener(request);
    } else {
      this.#requests.push(request);
    }
  }

  #write(response: unknown): boolean {
    if (!this.member.hearsEvents || this.#held.length > 0) {
      this.#held.push(response);
      return true;
    }
    return this.call.write(this.member.stamped(response));
  }
}
