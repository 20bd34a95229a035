import type { Events } from '../domain/events.js';
import { Authorization } from '../grpc/authorization.js';
import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';
import { type TlsFiles, tlsFiles } from '../runtime/tls-files.js';
import { tlsFile } from '../runtime/tls-material.js';
import type { FrontMetrics } from '../selection/front-metrics.js';
import { type SelectionConfig, selectionSettings } from './config.js';

interface Shared {
  readonly clock: Clock;
  readonly log: Logger;
  readonly events?: Events;
}

/** What gRPC is served with over TLS, if it is. */
export function grpcTls(config: SelectionConfig, shared: Shared): TlsFiles | undefined {
  const { grpcTlsCert, grpcTlsKey, grpcTlsClientCa } = selectionSettings;
  const paths = {
    cert: tlsFile(grpcTlsCert, config.grpcTlsCert),
    key: tlsFile(grpcTlsKey, config.grpcTlsKey),
    ca: tlsFile(grpcTlsClientCa, config.grpcTlsClientCa),
  };
  return tlsFiles(paths, { ...shared, purpose: 'grpc' });
}

/** Who may ask what, if that is told. */
export function grpcAuthorization(
  config: SelectionConfig,
  shared: Shared & { readonly metrics: FrontMetrics },
): Authorization | undefined {
  const names = { select: config.grpcSelectNames, administer: config.grpcAdminNames };
  return names.select || names.administer ? new Authorization({ names, ...shared }) : undefined;
}
