import { type RelayNodeConfig, readRelayNodeConfig } from '../../../relay-node/config.js';
import { driverFor } from '../../../relay-node/process.js';
import type { RelayDriver } from '../../../relay-node/relays/relay.js';
import { relayKey } from '../../domain/relay.js';
import { InvalidValue } from '../../etcd/invalid-value.js';
import { relayCodec } from '../../registry/codecs/relay.js';
import { Keyspace } from '../../registry/keyspace.js';
import { sleep, systemClock } from '../../runtime/clock.js';
import { silentLogger } from '../../runtime/log.js';
import type { Check } from './check.js';
import { askEtcd, etcdChecks } from './etcd.js';
import { tcpCheck } from './listening.js';

/** How long a program of the node has to answer after its start, ms. */
const runStartMs = 10_000;

/** What a relay node with these settings needs. @throws ConfigError */
export function relayNodeChecks(environment: NodeJS.ProcessEnv): Check[] {
  const config = readRelayNodeConfig(environment);
  const keys = new Keyspace(config.etcdPrefix);
  const key = keys.relay(config.set, config.id).toString();
  return [
    ...etcdChecks(config, { reads: key, writes: key }),
    tcpCheck('HTTP', config.httpListen),
    { subject: 'relay', run: () => askRelay(config, environment) },
    { subject: 'registration', run: () => registration(config, keys) },
  ];
}

/** Starts what the node would control, or in its own process be, for a moment. */
async function askRelay(config: RelayNodeConfig, environment: NodeJS.ProcessEnv): Promise<string> {
  // The relay that may run has its own nftables table and state, which must stay.
  const apart = { ...config, id: `${config.id}.check`, stateDirectory: '' };
  const driver = driverFor(apart, { environment, clock: systemClock, log: silentLogger });
  try {
    await driver.start();
    await firstPing(driver, config.run ? runStartMs : 0);
    const { version, calls } = await driver.status();
    const features = await driver.features();
    const where = driver.forwardedWhere ? `; media are forwarded ${driver.forwardedWhere}` : '';
    return `${config.kind} ${version} answers at ${driver.controlUrl}: ${calls} calls; features ${features.join(', ')}${where}`;
  } finally {
    await driver.stop();
  }
}

/** What was started a moment ago is asked until it answers. @throws why it does not */
async function firstPing(driver: RelayDriver, timeoutMs: number): Promise<void> {
  const deadlineMs = systemClock.monotonicMs() + timeoutMs;
  for (;;) {
    try {
      return await driver.ping();
    } catch (error) {
      if (systemClock.monotonicMs() > deadlineMs) {
        throw error;
      }
      await sleep(systemClock, 100);
    }
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
