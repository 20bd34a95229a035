import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { CertificateFiles } from './certificates.js';
import { freeTcpPorts } from './ports.js';
import { type Scope, startProcess, type TestProcess } from './process.js';
import { findProgram } from './program.js';

export interface TlsEtcd {
  /** `https://127.0.0.1:PORT` */
  readonly endpoint: string;
  /** Everything it has logged since its last start. */
  readonly output: string;
  restart(): Promise<void>;
}

/** A real etcd that requires client certificates of the authority that signed its own. */
export async function startTlsEtcd(scope: Scope, { ca, cert, key }: CertificateFiles): Promise<TlsEtcd> {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-etcd-'));
  scope.teardown(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }));
  const [client = 0, peer = 0, metrics = 0] = await freeTcpPorts(3);
  const endpoint = `https://127.0.0.1:${client}`;
  const args = [
    ...['--name', 'one', '--data-dir', directory, '--initial-cluster', `one=http://127.0.0.1:${peer}`],
    ...['--listen-client-urls', endpoint, '--advertise-client-urls', endpoint],
    ...['--listen-peer-urls', `http://127.0.0.1:${peer}`],
    ...['--initial-advertise-peer-urls', `http://127.0.0.1:${peer}`],
    ...['--cert-file', cert, '--key-file', key, '--client-cert-auth', '--trusted-ca-file', ca],
    ...['--listen-metrics-urls', `http://127.0.0.1:${metrics}`],
  ];
  let child: TestProcess;
  const isHealthy = async () => {
    const reply = await fetch(`http://127.0.0.1:${metrics}/health`, { signal: AbortSignal.timeout(1000) });
    return ((await reply.json()) as { health: string }).health === 'true';
  };
  const start = async () => {
    child = await startProcess(scope, findProgram('etcd') ?? 'etcd', args);
    await child.waitUntil(isHealthy, 'healthy answer');
  };
  await start();
  return {
    endpoint,
    get output() {
      return child.output;
    },
    async restart() {
      await child.kill();
      await start();
    },
  };
}
