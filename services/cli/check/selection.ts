import { Keyspace } from '../../registry/keyspace.js';
import { readSelectionConfig } from '../../replica/config.js';
import { externalMetricsTls } from '../../replica/external-metrics.js';
import { grpcTls } from '../../replica/grpc-access.js';
import { systemClock } from '../../runtime/clock.js';
import { silentLogger } from '../../runtime/log.js';
import { certificateCheck } from './certificate.js';
import type { Check } from './check.js';
import { etcdChecks } from './etcd.js';
import { tcpCheck, udpCheck } from './listening.js';

/** What a replica with these settings needs. @throws ConfigError */
export function selectionChecks(environment: NodeJS.ProcessEnv): Check[] {
  const config = readSelectionConfig(environment);
  const keys = new Keyspace(config.etcdPrefix);
  const shared = { clock: systemClock, log: silentLogger };
  const certificates = [
    ['gRPC certificate', grpcTls(config, shared)],
    ['external metrics certificate', externalMetricsTls(config, shared)],
  ] as const;
  const { externalMetricsListen } = config;
  return [
    ...etcdChecks(config, { reads: keys.relays, writes: keys.calls }),
    ...certificates.flatMap(([name, files]) => (files ? [certificateCheck(name, files)] : [])),
    tcpCheck('gRPC', config.grpcListen),
    tcpCheck('HTTP', config.httpListen),
    ...(externalMetricsListen ? [tcpCheck('external metrics', externalMetricsListen)] : []),
    ...(config.ngListen ?? []).map(({ address }) => udpCheck('ng gateway', address)),
    ...(config.rtpproxyListen ?? []).map(({ address }) => udpCheck('rtpproxy gateway', address)),
  ];
}
