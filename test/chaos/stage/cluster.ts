import type { Etcd3 } from 'etcd3';
import { connect, type RealEtcd, startRealEtcdCluster } from '../../support/etcd-cluster.js';
import type { Scope } from '../../support/process.js';
import { PeerLinks } from './peer-links.js';

const statusTimeoutMs = 500;
/** No use to anybody: Holdfast would go past the proxies to where members say that they are. */
const unadvertised = ['--advertise-client-urls', 'http://0.0.0.0:1'];

/** The members of a real etcd cluster, and its leader. */
export class Cluster {
  readonly #clients: readonly Etcd3[];

  private constructor(
    scope: Scope,
    readonly members: readonly RealEtcd[],
    readonly peers: PeerLinks,
  ) {
    this.#clients = members.map(({ endpoint }) => connect(scope, endpoint));
  }

  static async start(scope: Scope, size: number): Promise<Cluster> {
    const peers = new PeerLinks(scope, size);
    return new Cluster(scope, await startRealEtcdCluster(scope, size, unadvertised, peers), peers);
  }

  get endpoints(): string[] {
    return this.members.map(({ endpoint }) => endpoint);
  }

  /** Kills all members. */
  async kill(): Promise<void> {
    await Promise.all(this.members.map((member) => member.kill()));
  }

  async restart(moreArgs?: readonly string[]): Promise<void> {
    await Promise.all(this.members.map((member) => member.restart(moreArgs)));
  }

  /** Index of the leader, from any member that answers; undefined without a leader. */
  async leader(): Promise<number | undefined> {
    const statuses = await Promise.all(
      this.#clients.map((client) =>
        client.maintenance.status({ deadline: Date.now() + statusTimeoutMs }).catch(() => undefined),
      ),
    );
    for (const status of statuses) {
      if (!status || status.leader === '0') {
        continue;
      }
      const at = statuses.findIndex((other) => other?.header.member_id === status.leader);
      if (at >= 0) {
        return at;
      }
    }
    return undefined;
  }

  /** Drops the history before this revision. */
  async compact(revision: number): Promise<void> {
    for (const client of this.#clients) {
      try {
        await client.kv.compact({ revision: String(revision) }, { deadline: Date.now() + 2000 });
        return;
      } catch {
        // Another member may succeed. If none does, there is no compaction this time.
      }
    }
  }

  /** Number of keys below the prefix and of live leases, for a soak. */
  async count(prefix: string): Promise<{ keys: number; leases: number }> {
    const [client] = this.#clients;
    if (!client) {
      throw new Error('no member');
    }
    const end = Buffer.from(prefix);
    end[end.length - 1] = (end.at(-1) as number) + 1;
    const { count } = await client.kv.range({ key: Buffer.from(prefix), range_end: end, count_only: true });
    const { leases } = await client.leaseClient.leaseLeases();
    return { keys: Number(count), leases: leases.length };
  }
}
