import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Etcd3 } from 'etcd3';
import { RelayState } from '../../proto/generated/holdfast/v1/relay.js';
import type { HoldfastClient } from '../../services/client/index.js';
import type { ProtocolName } from '../../services/control/protocol.js';
import { Keyspace } from '../../services/registry/keyspace.js';
import { connect, fileScope, type RealEtcd, startRealEtcd } from '../support/etcd.js';
import { Kamailio, type KamailioOptions } from '../support/kamailio.js';
import { kemiOptions } from '../support/kemi.js';
import { ProxyClient } from '../support/ng.js';
import { freeUdpPort } from '../support/ports.js';
import type { Scope } from '../support/process.js';
import { eventually } from '../support/registry.js';
import { mediaNetwork, type RelaySpec, startRelay, type TestRelay } from './gateway-relays.js';
import { GatewayReplica } from './gateway-replica.js';
import { ownTurn } from './gateway-turn.js';

/** How a proxy finds relays: through the gateway of one replica, or without Holdfast. */
export type Way = 'gateway' | 'direct';

export interface ProxyOptions extends Pick<KamailioOptions, 'configuration'> {
  readonly way: Way;
  /** The relay set that the proxy uses. */
  readonly set: string;
  /** Which replica's gateway. */
  readonly replica?: 0 | 1;
  /** What it speaks to relays; ng if not told. */
  readonly protocol?: ProtocolName;
  /** Without the gateway: the relays that it knows, by default all of the set. */
  readonly relays?: readonly string[];
  /** By default a free one. */
  readonly port?: number;
  readonly defines?: Readonly<Record<string, string | undefined>>;
}

/** The gateway of a proxy that names no set. */
export const noSet = '';
/** The shortest that there is. */
export const lingerSeconds = 5;

/**
 * What calls need besides phones, on loopback: relays in sets, two replicas whose gateways serve each set at a port of its
 * own, and etcd. Proxies are started by the tests, each with one set of relays.
 */
export class CallsStage {
  readonly relays: TestRelay[] = [];
  readonly replicas: GatewayReplica[] = [];
  /** Of each replica's gateways, by protocol and set. */
  readonly #ports: Record<ProtocolName, Map<string, number>>[] = [];
  readonly #client: Etcd3;
  #proxies = 0;

  private constructor(
    readonly scope: Scope,
    readonly directory: string,
    readonly etcd: RealEtcd,
  ) {
    this.#client = connect(scope, etcd.endpoint);
  }

  /** @param emptySets sets without relays */
  static async start(
    scope: Scope,
    specs: readonly RelaySpec[],
    emptySets: readonly string[] = [],
  ): Promise<CallsStage> {
    await ownTurn(scope);
    const directory = await mkdtemp(join(tmpdir(), 'holdfast-calls-'));
    scope.teardown(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }));
    const stage = new CallsStage(scope, directory, await startRealEtcd(scope));
    const network = mediaNetwork();
    const sets = [...new Set([...specs.map(({ set = 'default' }) => set), ...emptySets])];
    await Promise.all([
      ...specs.map((spec, index) => stage.#addRelay(spec, `${network}.${index + 1}`)),
      ...[0, 1].map(() => stage.#addReplica(sets)),
    ]);
    stage.relays.sort((one, other) => one.id.localeCompare(other.id));
    for (const { client } of stage.replicas) {
      const count = async () => (await client.listRelays()).relays.length;
      await eventually(async () => (await count()) === specs.length, 'relays at both replicas');
    }
    return stage;
  }

  get client(): HoldfastClient {
    return this.#replica(0).client;
  }

  relay(id: string): TestRelay {
    const found = this.relays.find((each) => each.id === id);
    if (!found) {
      throw new Error(`no relay ${id}`);
    }
    return found;
  }

  of(set: string): TestRelay[] {
    return this.relays.filter((relay) => relay.set === set);
  }

  /** The relay with this media address. */
  relayAt(address: string): string {
    return this.relays.find((relay) => relay.address === address)?.id ?? `nobody (${address})`;
  }

  /** Starts a Kamailio, by default with the example configuration. */
  async proxy(options: ProxyOptions): Promise<Kamailio> {
    const { way, set, replica = 0, protocol = 'ng', relays, port, defines = {}, ...rest } = options;
    const known = this.of(set).filter(({ id }) => relays?.includes(id) ?? true);
    const direct = known.map((relay) => (protocol === 'ng' ? relay.port : relay.rtpproxyPort));
    const servers = way === 'gateway' ? [this.port(set, replica, protocol)] : direct;
    const sockets = `"${servers.map((server) => `udp:127.0.0.1:${server}`).join(' ')}"`;
    const used =
      protocol === 'ng' ? { NG_SOCK: sockets } : { WITH_RTPPROXY: undefined, RTPPROXY_SOCK: sockets };
    return await Kamailio.start(this.scope, {
      name: `proxy-${++this.#proxies}`,
      directory: this.directory,
      port: port ?? (await freeUdpPort()),
      defines: { ...used, WORKERS: '6', ...defines },
      ...rest,
    });
  }

  /** Starts a Kamailio that asks both replicas over gRPC. */
  async grpcProxy(): Promise<Kamailio> {
    const name = `proxy-${++this.#proxies}`;
    const replicas = this.replicas.map(({ grpcPort }) => `127.0.0.1:${grpcPort}`);
    const relays = this.of('default').map(({ port }) => port);
    const options = await kemiOptions(this.scope, join(this.directory, `${name}-script`), replicas, relays);
    const port = await freeUdpPort();
    return await Kamailio.start(this.scope, { name, directory: this.directory, port, ...options });
  }

  /** An ng client in place of a proxy. */
  async ngClient(set: string, replica: 0 | 1 = 0): Promise<ProxyClient> {
    const client = new ProxyClient('127.0.0.1', this.port(set, replica));
    await client.start();
    this.scope.teardown(() => client.stop());
    return client;
  }

  /** Where the gateway serves this set. */
  port(set: string, replica: 0 | 1, protocol: ProtocolName = 'ng'): number {
    const port = this.#ports[replica]?.[protocol].get(set);
    if (port === undefined) {
      throw new Error(`no set ${set}`);
    }
    return port;
  }

  /** Lets new calls of the set go to this relay only, or to all again. */
  async only(set: string, relayId?: string): Promise<void> {
    await this.#areRegistered(set);
    for (const { id } of this.of(set)) {
      const state = relayId === undefined || id === relayId ? RelayState.ACTIVE : RelayState.DRAINING;
      await this.client.setIntent({ set, relayId: id, state, actor: 'test' });
      for (const { client } of this.replicas) {
        await eventually(async () => {
          const { relays } = await client.listRelays(set);
          return relays.find((relay) => relay.id === id)?.state === state;
        }, `${id} in state ${RelayState[state]}`);
      }
    }
  }

  /** Resolves when what was released until now is forgotten. */
  async lingerIsOver(set: string): Promise<void> {
    const callId = `released-${performance.now()}`;
    await this.client.select({ callId, set });
    await this.client.release({ callId, set });
    const isBound = () =>
      this.client.lookup({ callId, set }).then(
        () => true,
        () => false,
      );
    await eventually(async () => !(await isBound()), 'end of the linger');
  }

  /** Resolves when each relay of the set renews its lease: one that was frozen may lose it just after it goes on. */
  async #areRegistered(set: string): Promise<void> {
    const { kv, leaseClient } = this.#client;
    const keys = new Keyspace('/holdfast/v1');
    for (const { id } of this.of(set)) {
      await eventually(async () => {
        const { kvs } = await kv.range({ key: keys.relay(set, id) });
        const { TTL } = await leaseClient.leaseTimeToLive({ ID: kvs[0]?.lease ?? '0' });
        return Number(TTL) >= 3;
      }, `lease of ${id}`);
    }
  }

  #replica(index: number): GatewayReplica {
    const found = this.replicas[index];
    if (!found) {
      throw new Error(`no replica ${index}`);
    }
    return found;
  }

  async #addRelay(spec: RelaySpec, address: string): Promise<void> {
    this.relays.push(await startRelay(this.scope, spec, address, this.etcd.endpoint));
  }

  async #addReplica(sets: readonly string[]): Promise<void> {
    const ports = { ng: new Map<string, number>(), rtpproxy: new Map<string, number>() };
    for (const set of [...sets, noSet]) {
      ports.ng.set(set, await freeUdpPort());
      ports.rtpproxy.set(set, await freeUdpPort());
    }
    this.#ports.push(ports);
    const listeners = (protocol: ProtocolName) =>
      [...ports[protocol]]
        .map(([set, port]) => `127.0.0.1:${port}${set === noSet ? '' : `,set=${set}`}`)
        .join(',');
    const env = {
      HOLDFAST_NG_LISTEN: listeners('ng'),
      HOLDFAST_RTPPROXY_LISTEN: listeners('rtpproxy'),
      HOLDFAST_LINGER_SECONDS: `${lingerSeconds}`,
    };
    this.replicas.push(await GatewayReplica.start(this.scope, this.etcd.endpoint, { env }));
  }
}

/** A stage that the tests of a file share. */
export function sharedStage(...args: [specs: readonly RelaySpec[], emptySets?: readonly string[]]) {
  const scope = fileScope();
  let started: Promise<CallsStage> | undefined;
  return () => {
    started ??= CallsStage.start(scope, ...args);
    return started;
  };
}
