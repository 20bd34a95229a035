import { type RelayNodeConfig, readRelayNodeConfig } from '../../../relay-node/config.js';
import { driverFor } from '../../../relay-node/process.js';
import { relayKey } from '../../domain/relay.js';
import { InvalidValue } from '../../etcd/invalid-value.js';
import { relayCodec } from '../../registry/codecs/relay.js';
import { Keyspace } from '../../registry/keyspace.js';
import { systemClock } from '../../runtime/clock.js';
import { silentLogger } from '../../runtime/log.js';
import type { Check } from './check.js';
import { askEtcd, etcdChecks } from './etcd.js';
import { tcpCheck } from './listening.js';

/** What a relay node with these settings needs. @throws ConfigError */
export function relayNodeChecks(environment: NodeJS.ProcessEnv): Check[] {
  const config = readRelayNodeConfig(environment);
  const keys = new Keyspace(config.etcdPrefix);
  const key = keys.relay(config.set, config.id).toString();
  return [
    ...etcdChecks(config, { reads: key, writes: key }),
    tcpCheck('HTTP', config.httpListen),
    { subject: 'relay', run: () => askRelay(config) },
    { subject: 'registration', run: () => registration(config, keys) },
  ];
}

/** Starts what the node would control, or in its own process be, for a moment. */
async function askRelay(config: RelayNodeConfig): Promise<string> {
  // The relay that may run has its own nftables table and state, which must stay.
  const apart = { ...config, id: `${config.id}.check`, stateDirectory: '' };
  const driver = driverFor(apart, systemClock, silentLogger);
  try {
    await driver.start();
    await driver.ping();
    const { version, calls } = await driver.status();
    const features = await driver.features();
    return `${config.kind} ${version} answers at ${driver.controlUrl}: ${calls} calls; features ${features.join(', ')}`;
  } finally {
    await driver.stop();
  }
}

/** As whom it would register. */
async function registration(
  { set, id, weight, ...config }: RelayNodeConfig,
  keys: Keyspace,
): Promise<string> {
  const { kvs } = await askEtcd(config, (connection) => connection.range({ key: keys.relay(set, id) }));
  const name = relayKey(set, id);
  const [registered] = kvs.map(({ value }) => relayCodec.decode(name, value));
  if (!registered || registered instanceof InvalidValue) {
    return `would register as ${name}, weight ${weight}`;
  }
  const { controlUrl, kind } = registered;
  throw new Error(
    `${name} is registered already: ${kind} at ${controlUrl}; its node must stop first, or this one needs another --id`,
  );
}
