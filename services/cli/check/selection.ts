import { Keyspace } from '../../registry/keyspace.js';
import { readSelectionConfig } from '../../replica/config.js';
import { grpcTls } from '../../replica/replica.js';
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
  const tls = grpcTls(config, { clock: systemClock, log: silentLogger });
  return [
    ...etcdChecks(config, { reads: keys.relays, writes: keys.calls }),
    ...(tls ? [certificateCheck('gRPC certificate', tls)] : []),
    tcpCheck('gRPC', config.grpcListen),
    tcpCheck('HTTP', config.httpListen),
    ...(config.ngListen ?? []).map(({ address }) => udpCheck('ng gateway', address)),
    ...(config.rtpproxyListen ?? []).map(({ address }) => udpCheck('rtpproxy gateway', address)),
  ];
}
