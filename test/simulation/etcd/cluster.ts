import { status } from '@grpc/grpc-js';
import {
  AuthService,
  ClusterService,
  KVService,
  LeaseService,
  MaintenanceService,
  WatchService,
} from '../../../proto/generated/etcd/rpc.js';
import { authService, maintenanceService } from '../../../services/embedded-etcd/admin-services.js';
import { OpenCalls, unary } from '../../../services/embedded-etcd/handlers.js';
import { kvService } from '../../../services/embedded-etcd/kv-service.js';
import { leaseService } from '../../../services/embedded-etcd/lease-service.js';
import { withSizedRequests } from '../../../services/embedded-etcd/request-size.js';
import { Watches } from '../../../services/embedded-etcd/watches.js';
import { silentLogger } from '../../../services/runtime/log.js';
import type { Random } from '../../chaos/plan/random.js';
import type { Host } from '../kernel/process.js';
import { SimProcess } from '../kernel/process.js';
import type { RpcNetwork } from '../network/rpc-channel.js';
import { type Snapshot, Store } from './backup.js';
import { Member, type Refusal } from './member.js';
import { QuorumClock } from './quorum-clock.js';

/** etcd's default election timeout is 1 s; a candidate needs up to twice that. */
const electionMs = { least: 1000, most: 2000 };
const progressIntervalMs = 600_000;

export interface ClusterDeps {
  /** One for each member. */
  readonly hosts: readonly Host[];
  readonly rpc: RpcNetwork;
  readonly random: Random;
  /** Index of a member that never votes. */
  readonly learner?: number | undefined;
}

/**
 * A cluster of etcd: the storage, leases and watches of the embedded etcd, which is held to the real one by a test of its own,
 * behind members that fail as real ones do. All members share one state: what raft would agree on. A member that is cut off
 * answers nothing and delivers no events.
 */
export class EtcdCluster {
  readonly members: readonly Member[];
  readonly core: SimProcess;
  readonly #deps: ClusterDeps;
  readonly #clock: QuorumClock;
  #store: Store;
  #watches: Watches;
  #calls = new OpenCalls();
  #services: ReturnType<EtcdCluster['openServices']>;
  #term = 2;
  #leader: Member | undefined;
  #isElecting = false;
  #hasQuorum = true;
  /** Called when the last member that a quorum needs has gone, and when it is back. */
  onQuorumChange: (hasQuorum: boolean) => void = () => {};
  /** What refuses some requests, whichever member is asked. */
  refusal: ((path: string, request: unknown) => Refusal | undefined) | undefined;

  constructor(deps: ClusterDeps) {
    const [first] = deps.hosts;
    if (!first) {
      throw new Error('a cluster needs a member');
    }
    this.#deps = deps;
    this.core = new SimProcess('etcd', first);
    this.#clock = new QuorumClock(this.core);
    this.#store = new Store(this.#clock);
    this.#watches = new Watches(this.#store.state, this.#clock, silentLogger, progressIntervalMs);
    this.#services = this.openServices();
    this.members = deps.hosts.map((host, at) => new Member(this, host, deps.rpc, at === deps.learner));
    this.#leader = this.members.find((member) => member.votes);
  }

  get term(): number {
    return this.#term;
  }

  get leader(): Member | undefined {
    return this.#leader;
  }

  get endpoints(): string[] {
    return this.members.map(({ endpoint }) => endpoint);
  }

  get store(): Store {
    return this.#store;
  }

  get services() {
    return this.#services;
  }

  /** By path, what carries out a call; and where its ends are kept. */
  private openServices() {
    const { state } = this.#store;
    const log = silentLogger;
    const memberList = unary(log, () => ({
      header: state.header(),
      members: this.members.map(({ id, endpoint, isLearner }) => ({
        id,
        name: endpoint,
        clientUrls: [`http://${endpoint}`],
        isLearner,
      })),
    }));
    return [
      { definition: withSizedRequests(KVService), methods: kvService(state, log) },
      { definition: WatchService, methods: this.#watches.service(this.#calls) },
      { definition: LeaseService, methods: leaseService(state, log, this.#calls) },
      { definition: ClusterService, methods: { memberList } },
      { definition: MaintenanceService, methods: maintenanceService(state, log) },
      { definition: AuthService, methods: authService(state, log) },
    ] as const;
  }

  /** A member has come, gone, been cut off or come back: perhaps there is another leader, or none. */
  memberChanged(): void {
    const voters = this.members.filter((member) => member.votes);
    const connected = voters.filter((member) => member.isConnected);
    const hasQuorum = connected.length * 2 > voters.length;
    if (hasQuorum !== this.#hasQuorum) {
      this.#hasQuorum = hasQuorum;
      this.onQuorumChange(hasQuorum);
    }
    if (hasQuorum && this.#leader?.isConnected) {
      return;
    }
    this.#leader = undefined;
    this.#clock.stop();
    if (!hasQuorum || this.#isElecting) {
      return;
    }
    this.#isElecting = true;
    this.core.after(this.#deps.random.between(electionMs.least, electionMs.most), () => {
      this.#isElecting = false;
      this.#elect();
    });
  }

  /** The leader steps down, for whatever reason. */
  changeLeader(): void {
    this.#leader = undefined;
    this.#clock.stop();
    this.memberChanged();
  }

  compact(): void {
    const { keyspace } = this.#store.state;
    if (keyspace.revision > keyspace.compactRevision) {
      this.core.enter(() => {
        if (keyspace.revision > keyspace.compactRevision) {
          keyspace.compact(keyspace.revision);
        }
      });
    }
  }

  /** All members lose their data, or get that of a snapshot, while they are down. */
  replace(snapshot?: Snapshot, keepsClusterId = false): void {
    const { clusterId } = this.#store.state;
    this.#store.state.lessor.stop();
    this.#watches.stop();
    this.#calls.endAll();
    this.#calls = new OpenCalls();
    this.#store = new Store(this.#clock, snapshot);
    if (keepsClusterId) {
      Object.assign(this.#store.state, { clusterId });
    }
    this.#watches = new Watches(this.#store.state, this.#clock, silentLogger, progressIntervalMs);
    this.#services = this.openServices();
  }

  #elect(): void {
    const able = this.members.filter((member) => member.votes && member.isConnected);
    const voters = this.members.filter((member) => member.votes);
    if (able.length * 2 <= voters.length || this.#leader) {
      return;
    }
    this.#leader = this.#deps.random.pick(able);
    this.#term++;
    this.#clock.goOn();
    this.#store.renewLeases();
    for (const member of this.members) {
      member.leaderElected();
    }
  }
}

export const unavailable = (text: string): Refusal => ({
  code: status.UNAVAILABLE,
  details: `etcdserver: ${text}`,
});
