import { noop } from 'cockatiel';
import { Etcd3 } from 'etcd3';
import { startRealEtcdCluster } from '../../support/etcd-cluster.js';
import type { Scope } from '../../support/process.js';
import { requireProgram } from './program.js';
import { scrape } from './prometheus.js';

/** A million bindings with their history exceed the default of 2 GiB. */
const quotaBytes = 8 * 1024 ** 3;

/** An etcd with one or more members. Properties of a single member are those of the first one. */
export interface Etcd {
  readonly endpoint: string;
  /** All members, in the format of HOLDFAST_ETCD. */
  readonly endpoints: string;
  readonly port: number;
  readonly pids: readonly number[];
  readonly client: Etcd3;
  /** The store's current revision. */
  revision(): Promise<number>;
  metrics(): Promise<ReadonlyMap<string, number>>;
  /** Drops the history up to now, and frees its space. */
  compact(): Promise<void>;
}

/** A real etcd with its defaults, including fsync. Its data is on disk, and removed when the scope ends. */
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
