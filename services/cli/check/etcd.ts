import { configuredConnection, type EtcdConfig } from '../../etcd/configured-connection.js';
import type { EtcdConnection, ProbedKeys } from '../../etcd/connection.js';
import { systemClock } from '../../runtime/clock.js';
import { silentLogger } from '../../runtime/log.js';
import { type EtcdTlsConfig, etcdTls } from '../../runtime/tls-files.js';
import type { Check } from './check.js';

type CheckedConfig = EtcdConfig & EtcdTlsConfig;

/** Asks etcd as a process with these settings would. The connection is closed afterwards. */
export async function askEtcd<T>(
  config: CheckedConfig,
  ask: (connection: EtcdConnection) => Promise<T>,
): Promise<T> {
  const tls = etcdTls(config, { clock: systemClock, log: silentLogger });
  await tls?.start();
  const connection = configuredConnection(config, tls);
  try {
    return await ask(connection);
  } finally {
    connection.close();
    tls?.stop();
  }
}

/** Each member for itself, then what this user is permitted to do. */
export function etcdChecks(config: CheckedConfig, keys: ProbedKeys): Check[] {
  const members = config.etcd.map((endpoint) => ({
    subject: 'etcd',
    run: async () => {
      const begunMs = performance.now();
      const { header } = await askEtcd({ ...config, etcd: [endpoint] }, (connection) =>
        connection.range({ key: Buffer.from(keys.reads) }),
      );
      const ms = Math.round(performance.now() - begunMs);
      return `${endpoint} answered in ${ms} ms: cluster ${BigInt(header.cluster_id).toString(16)}, revision ${header.revision}`;
    },
  }));
  const rights = {
    subject: 'etcd writes',
    run: async () => {
      await askEtcd(config, (connection) => connection.probe(keys, config.etcdTimeoutMs));
      return `${config.etcdUsername ? `user ${config.etcdUsername} is` : 'everybody is'} permitted to write below ${keys.writes}`;
    },
  };
  return [...members, rights];
}
