import { noop } from 'cockatiel';
import { Etcd3 } from 'etcd3';
import { startRealEtcdCluster } from '../../support/etcd-cluster.js';
import type { Scope } from '../../support/process.js';
import { requireProgram } from './program.js';
import { scrape } from './prometheus.js';

/** A million bindings and their history pass the default of 2 GiB. */
const quotaBytes = 8 * 1024 ** 3;

/** One etcd, of however many members. Where one of them is meant, it is the first. */
export interface Etcd {
  readonly endpoint: string;
  /** All members, as the programs are told. */
  readonly endpoints: string;
  readonly port: number;
  readonly pids: readonly number[];
  readonly client: Etcd3;
  /** The store's present revision. */
  revision(): Promise<number>;
  metrics(): Promise<ReadonlyMap<string, number>>;
  /** Forgets history up to now, and gives the space back. */
  compact(): Promise<void>;
}

/** A real etcd with its defaults, fsync included, its data on disk in a directory that goes when the scope ends. */
export async function startEtcd(scope: Scope, memberCount = 1): Promise<Etcd> {
  requireProgram('etcd');
  const members = await startRealEtcdCluster(scope, memberCount, ['--quota-backend-bytes', `${quotaBytes}`]);
  const [endpoint = ''] = members.map((member) => member.endpoint);
  const url = `http://${endpoint}`;
  const client = new Etcd3({ hosts: url, faultHandling: { host: () => noop, global: noop } });
  scope.teardown(() => client.close());
  const revision = async () => Number((await client.kv.range({ key: Buffer.from('-') })).header.revision);
  return {
    endpoint,
    endpoints: members.map((member) => member.endpoint).join(','),
    port: Number(new URL(url).port),
    pids: members.map(({ pid }) => pid),
    client,
    revision,
    metrics: () => scrape(`${url}/metrics`),
    async compact() {
      await client.kv.compact({ revision: String(await revision()), physical: true });
      await client.maintenance.defragment();
    },
  };
}
