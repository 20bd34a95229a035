import type { Logger } from '../../../services/runtime/log.js';
import type { WithoutQuorumMode } from '../../../services/selection/outage/outage-fallback.js';
import type { SelectorSettings } from '../../../services/selection/ttl-policy.js';
import { Random } from '../../chaos/plan/random.js';
import type { Snapshot } from '../etcd/backup.js';
import { EtcdCluster } from '../etcd/cluster.js';
import { enterAmbience } from '../kernel/ambient.js';
import { Host, SimProcess } from '../kernel/process.js';
import { Scheduler } from '../kernel/scheduler.js';
import { DatagramPorts, DatagramSocket } from '../network/datagram-socket.js';
import { Network } from '../network/network.js';
import { RpcNetwork } from '../network/rpc-channel.js';
import { type LogLine, loggerOf } from './log.js';
import { RelayHost } from './relay-host.js';
import { Replica } from './replica.js';

/** How an installation is made up. */
export interface WorldOptions {
  readonly seed: number;
  readonly voters: number;
  /** Index among the members of one that never votes. */
  readonly learner: number | undefined;
  /** Where in the list of endpoints one of another cluster is. */
  readonly stranger: number | undefined;
  readonly replicas: number;
  readonly relays: number;
  readonly proxies: number;
  readonly settings: SelectorSettings;
  readonly withoutQuorum: WithoutQuorumMode;
}

export interface Crash {
  readonly atMs: number;
  readonly process: string;
  readonly error: unknown;
}

const snapshotPeriodMs = 5000;

/** An installation in one process: all its hosts, and the network between them. */
export class World {
  readonly scheduler = new Scheduler();
  readonly random: Random;
  readonly network: Network;
  readonly ports: DatagramPorts;
  readonly rpc: RpcNetwork;
  readonly etcd: EtcdCluster;
  /** Another cluster, of one member. */
  readonly stranger: EtcdCluster | undefined;
  readonly replicas: readonly Replica[];
  readonly relays: readonly RelayHost[];
  readonly proxies: readonly SimProcess[];
  readonly crashes: Crash[] = [];
  onLog: (line: LogLine) => void = () => {};
  /** What nobody's death ends: in it faults happen. */
  readonly nature: SimProcess;
  readonly snapshots: { readonly atMs: number; readonly snapshot: Snapshot }[] = [];

  constructor(readonly options: WorldOptions) {
    this.random = new Random(options.seed);
    this.nature = new Host('10.0.0.1', this.scheduler, this.random).kernel;
    this.network = new Network(this.scheduler, this.#fork());
    this.ports = new DatagramPorts(this.network);
    this.rpc = new RpcNetwork(this.network);
    const { voters, learner, stranger } = options;
    const members = voters + (learner === undefined ? 0 : 1);
    const inProcess = <T>(make: () => T) => this.#outside(make);
    this.etcd = inProcess(
      () =>
        new EtcdCluster({
          hosts: this.#hosts(1, members),
          rpc: this.rpc,
          random: this.#fork(),
          learner,
        }),
    );
    this.stranger =
      stranger === undefined
        ? undefined
        : inProcess(() => new EtcdCluster({ hosts: this.#hosts(5, 1), rpc: this.rpc, random: this.#fork() }));
    const etcd = this.etcd.endpoints;
    if (stranger !== undefined && this.stranger) {
      etcd.splice(stranger, 0, ...this.stranger.endpoints);
    }
    const log = (process: SimProcess): Logger => loggerOf(process, (line) => this.onLog(line));
    const shared = { rpc: this.rpc, etcd, log };
    this.replicas = this.#hosts(2, options.replicas).map(
      (host, at) => new Replica({ ...options, ...shared, host, name: `replica${at + 1}` }),
    );
    this.relays = this.#hosts(3, options.relays).map(
      (host, at) => new RelayHost({ ...shared, host, id: `r${at + 1}` }),
    );
    this.proxies = this.#hosts(4, options.proxies).map((host, at) => new SimProcess(`proxy${at + 1}`, host));
    this.scheduler.onCrash = (process, error) =>
      this.crashes.push({ atMs: this.scheduler.nowMs, process: process.name, error });
  }

  start(): void {
    for (const relay of this.relays) {
      relay.startMedia();
      relay.startNode();
    }
    for (const replica of this.replicas) {
      replica.start();
    }
  }

  /** An operator saves a snapshot every few seconds. */
  keepSnapshots(): void {
    this.nature.after(snapshotPeriodMs, () => {
      this.snapshots.push({ atMs: this.scheduler.nowMs, snapshot: this.etcd.store.snapshot() });
      this.keepSnapshots();
    });
  }

  /** Runs until that time has come. What Node's own sources of time and chance give meanwhile is virtual. */
  async run(untilMs: number, isOver?: () => boolean): Promise<void> {
    const leave = enterAmbience({
      current: () => this.scheduler.current,
      random: this.random,
      createSocket: (process) => new DatagramSocket(this.ports, process),
    });
    const crashed = (error: unknown) => {
      const { current } = this.scheduler;
      this.crashes.push({
        atMs: this.scheduler.nowMs,
        process: current?.name ?? 'the simulator',
        error,
      });
    };
    process.on('uncaughtException', crashed);
    process.on('unhandledRejection', crashed);
    try {
      await this.scheduler.run(untilMs, isOver);
    } finally {
      process.off('uncaughtException', crashed);
      process.off('unhandledRejection', crashed);
      leave();
    }
  }

  /** A source of chance of its own, so that more draws in one place change nothing elsewhere. */
  fork(): Random {
    return this.#fork();
  }

  #fork(): Random {
    return new Random(Math.floor(this.random.next() * 2 ** 32));
  }

  #hosts(net: number, count: number): Host[] {
    return Array.from({ length: count }, (_, at) => {
      const host = new Host(`10.0.${net}.${at + 1}`, this.scheduler, this.random);
      this.ports.addHost(host);
      return host;
    });
  }

  /** What draws ids while it is made does so from the seed. */
  #outside<T>(make: () => T): T {
    const kernel = new Host('10.0.0.0', this.scheduler, this.random).kernel;
    const leave = enterAmbience({
      current: () => kernel,
      random: this.random,
      createSocket: () => {
        throw new Error('nothing is to open sockets yet');
      },
    });
    try {
      return make();
    } finally {
      leave();
    }
  }
}
