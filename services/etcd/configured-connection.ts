import type { ConfigOf, commonSettings } from '../runtime/config.js';
import type { TlsFiles } from '../runtime/tls-files.js';
import { EtcdConnection } from './connection.js';

/** The settings that say how etcd is reached. */
export type EtcdConfig = Pick<
  ConfigOf<typeof commonSettings>,
  'etcd' | 'etcdUsername' | 'etcdPassword' | 'etcdTimeoutMs'
>;

/** The connection of a process with these settings. Opens no socket. */
export function configuredConnection(config: EtcdConfig, tls: TlsFiles | undefined): EtcdConnection {
  return new EtcdConnection({
    endpoints: config.etcd,
    username: config.etcdUsername,
    password: config.etcdPassword,
    tls,
    timeoutMs: config.etcdTimeoutMs,
  });
}
