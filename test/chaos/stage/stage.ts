import { randomInt } from 'node:crypto';
import type { Scope } from '../../support/process.js';
import { Cluster } from './cluster.js';
import type { Links } from './links.js';
import { RelayHost } from './relay-host.js';
import { ReplicaHost } from './replica-host.js';

export const prefix = '/holdfast/v1';

export interface StageOptions {
  /** For the logs of all processes. */
  readonly directory: string;
  readonly members?: number;
  readonly replicas?: number;
  readonly relays?: number;
  /** How many relays are rtpengines, if that is installed. */
  readonly rtpengines?: number;
  /** Further HOLDFAST_ variables of each replica. */
  readonly replicaEnv?: Readonly<Record<string, string>>;
  /** A module that each replica loads before anything else. */
  readonly replicaModule?: string | undefined;
  /** Called once etcd runs, while it is still empty. */
  readonly onCluster?: (cluster: Cluster) => Promise<void>;
}

/** A whole installation on loopback: separate processes, with proxies between them and etcd. */
export class Stage {
  private constructor(
    readonly cluster: Cluster,
    readonly replicas: readonly ReplicaHost[],
    readonly relays: readonly RelayHost[],
  ) {}

  /** Resolves when every replica and relay is ready. */
  static async start(scope: Scope, options: StageOptions): Promise<Stage> {
    const { directory, members = 3, replicas = 3, relays = 6, rtpengines = 2, replicaModule } = options;
    const cluster = await Cluster.start(scope, members);
    await options.onCluster?.(cluster);
    const { endpoints } = cluster;
    const network = `127.${randomInt(100, 250)}.${randomInt(1, 250)}`;
    const relayHosts = await Promise.all(
      Array.from({ length: relays }, (_, i) =>
        RelayHost.start(scope, {
          id: `r${i + 1}`,
          address: `${network}.${i + 1}`,
          members: endpoints,
          directory,
          rtpengine: i < rtpengines,
          env: { HOLDFAST_ETCD_PREFIX: prefix },
        }),
      ),
    );
    const replicaHosts = await Promise.all(
      Array.from({ length: replicas }, (_, i) =>
        ReplicaHost.start(scope, {
          name: `s${i + 1}`,
          members: endpoints,
          directory,
          module: replicaModule,
          env: { HOLDFAST_ETCD_PREFIX: prefix, ...options.replicaEnv },
        }),
      ),
    );
    const stage = new Stage(cluster, replicaHosts, relayHosts);
    await stage.up();
    return stage;
  }

  get parties(): readonly Links[] {
    return [...this.replicas, ...this.relays].map(({ links }) => links);
  }

  /** Resolves when every replica and relay is ready. */
  async up(): Promise<void> {
    const components = [
      ...this.relays.map(({ node }) => node),
      ...this.replicas.map(({ component }) => component),
    ];
    await Promise.all(components.map((component) => component.up()));
  }
}
