import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { noop } from 'cockatiel';
import { Etcd3 } from 'etcd3';
import { freeTcpPorts } from '../../support/ports.js';
import { type Scope, startProcess } from '../../support/process.js';
import { scrape } from './prometheus.js';

const removal = { recursive: true, force: true, maxRetries: 5 };
/** A million bindings and their history pass the default of 2 GiB. */
const quotaBytes = 8 * 1024 ** 3;

export interface Member {
  readonly endpoint: string;
  readonly port: number;
  readonly pid: number;
  readonly client: Etcd3;
  /** The store's present revision. */
  revision(): Promise<number>;
  metrics(): Promise<ReadonlyMap<string, number>>;
  /** Forgets history up to now, and gives the space back. */
  compact(): Promise<void>;
}

/** One real etcd with its defaults, fsync included, its data on disk in a directory that goes when the scope ends. */
export async function startEtcd(scope: Scope): Promise<Member> {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-bench-etcd-'));
  scope.teardown(() => rm(directory, removal));
  const [port = 0, peerPort = 0] = await freeTcpPorts(2);
  const url = `http://127.0.0.1:${port}`;
  const peerUrl = `http://127.0.0.1:${peerPort}`;
  const child = await startProcess(scope, 'etcd', [
    ...['--name', 'bench', '--data-dir', directory, '--initial-cluster', `bench=${peerUrl}`],
    ...['--listen-client-urls', url, '--advertise-client-urls', url],
    ...['--listen-peer-urls', peerUrl, '--initial-advertise-peer-urls', peerUrl],
    ...['--quota-backend-bytes', String(quotaBytes)],
  ]);
  await child.waitUntil(async () => {
    const reply = await fetch(`${url}/health`, { signal: AbortSignal.timeout(1_000) });
    return ((await reply.json()) as { health: string }).health === 'true';
  }, 'healthy answer');
  const client = new Etcd3({ hosts: url, faultHandling: { host: () => noop, global: noop } });
  scope.teardown(() => client.close());
  const revision = async () => Number((await client.kv.range({ key: Buffer.from('-') })).header.revision);
  return {
    endpoint: `127.0.0.1:${port}`,
    port,
    pid: child.pid,
    client,
    revision,
    metrics: () => scrape(`${url}/metrics`),
    async compact() {
      await client.kv.compact({ revision: String(await revision()), physical: true });
      await client.maintenance.defragment();
    },
  };
}
