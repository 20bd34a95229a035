import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RelayState } from '../../proto/generated/holdfast/v1/relay.js';
import type { HoldfastClient } from '../../services/client/index.js';
import { type RealEtcd, startRealEtcd } from '../support/etcd.js';
import { Kamailio, type KamailioOptions, kamailioFiles } from '../support/kamailio.js';
import { kemiOptions } from '../support/kemi.js';
import { freeUdpPort } from '../support/ports.js';
import type { Scope } from '../support/process.js';
import { eventually } from '../support/registry.js';
import { Sipp } from '../support/sipp.js';
import { mediaNetwork, type RelaySpec, startRelay, type TestRelay } from './gateway-relays.js';
import { GatewayReplica } from './gateway-replica.js';
import { ownTurn } from './gateway-turn.js';

/** The programs that a scene needs. */
export const programs = ['etcd', 'rtpengine', 'kamailio', 'kamcmd', 'sipp'];

export const threeRelays: readonly RelaySpec[] = [
  { id: 'media-1', kind: 'rtpengine' },
  { id: 'media-2', kind: 'rtpengine' },
  { id: 'media-3', kind: 'builtin' },
];

export const rtpproxyPrograms = ['etcd', 'rtp-io', 'python3', 'kamailio', 'kamcmd', 'sipp'];

/** All are rtpproxies to SIP proxies. */
export const threeRtpproxies: readonly RelaySpec[] = [
  { id: 'media-1', kind: 'rtpproxy' },
  { id: 'media-2', kind: 'rtpproxy' },
  { id: 'media-3', kind: 'builtin' },
];

export interface SceneOptions {
  readonly relays?: readonly RelaySpec[];
  /**
   * How the proxies select relays: each through its own gateway, with or without the other one as a spare; over gRPC from
   * either replica; or without Holdfast.
   */
  readonly through?: 'own gateway' | 'own gateway, or the other' | 'gRPC' | 'no gateway';
  /** What proxies and relays speak; ng if not told. */
  readonly protocol?: 'ng' | 'rtpproxy';
  /** The gateways' sockets stay open while they restart. */
  readonly keepsSockets?: boolean;
}

export interface CallerOptions {
  readonly calls: number;
  readonly perSecond: number;
  /** Duration of the scenario's pauses, ms; by default calls wait until they are told to continue. */
  readonly pauseMs?: number;
}

/** The parts that differ between scenes. */
interface Parts {
  readonly scope: Scope;
  readonly directory: string;
  readonly network: string;
  readonly etcd: RealEtcd | undefined;
}

/**
 * A small installation on loopback: caller → balancer → two proxies, each with its own gateway → callee; three relays;
 * etcd. The balancer sends all requests after the INVITE to the other proxy.
 */
export class Scene {
  readonly relays: TestRelay[] = [];
  readonly replicas: GatewayReplica[] = [];
  readonly proxies: Kamailio[] = [];
  #balancerPort = 0;
  #callee: Sipp | undefined;

  private constructor(private readonly parts: Parts) {}

  static async start(scope: Scope, options: SceneOptions = {}): Promise<Scene> {
    const { relays = threeRelays, through = 'own gateway', keepsSockets = false, protocol = 'ng' } = options;
    await ownTurn(scope);
    const directory = await mkdtemp(join(tmpdir(), 'holdfast-gateway-'));
    scope.teardown(() => rm(directory, { recursive: true, force: true, maxRetries: 5 }));
    const etcd = through === 'no gateway' ? undefined : await startRealEtcd(scope);
    const scene = new Scene({ scope, directory, network: mediaNetwork(), etcd });
    await Promise.all([
      ...relays.map((relay, index) => scene.#addRelay(relay, index)),
      ...(etcd ? [0, 1].map(() => scene.#addReplica(etcd.endpoint, keepsSockets)) : []),
    ]);
    scene.relays.sort((one, other) => one.id.localeCompare(other.id));
    await scene.everybodySees(relays.length);
    await scene.#startProxies(through, protocol);
    await scene.#startCallee();
    return scene;
  }

  relay(id: string): TestRelay {
    const relay = this.relays.find((each) => each.id === id);
    if (!relay) {
      throw new Error(`no relay ${id}`);
    }
    return relay;
  }

  /** The relay with this media address. */
  relayAt(address: string): string {
    return this.relays.find((relay) => relay.address === address)?.id ?? `nobody (${address})`;
  }

  get callee(): Sipp {
    if (!this.#callee) {
      throw new Error('the scene has not started');
    }
    return this.#callee;
  }

  get etcd(): RealEtcd {
    if (!this.parts.etcd) {
      throw new Error('this scene has no etcd');
    }
    return this.parts.etcd;
  }

  /** The first replica. */
  get client(): HoldfastClient {
    const [replica] = this.replicas;
    if (!replica) {
      throw new Error('this scene has no gateway');
    }
    return replica.client;
  }

  /** Unusual log lines of gateways and proxies. */
  warnings(): string[] {
    const ofGateways = this.replicas
      .flatMap((replica) => replica.warnings())
      .map((line) => JSON.stringify(line));
    return [...ofGateways, ...this.proxies.flatMap(({ complaints }) => complaints)];
  }

  /** Starts one more relay. */
  async join(spec: RelaySpec): Promise<void> {
    const count = this.relays.length + 1;
    await this.#addRelay(spec, this.relays.length);
    await this.everybodySees(count);
  }

  /** Sets an operator's intent for a relay; resolves when all replicas know it. */
  async want(relayId: string, state: RelayState, weight?: number): Promise<void> {
    await this.client.setIntent({
      set: 'default',
      relayId,
      state,
      actor: 'test',
      ...(weight === undefined ? {} : { weight }),
    });
    for (const { client } of this.replicas) {
      await eventually(async () => {
        const relay = (await client.listRelays('default')).relays.find(({ id }) => id === relayId);
        return relay?.state === state && (weight === undefined || relay.weight === weight);
      }, `${relayId} in state ${RelayState[state]}`);
    }
  }

  /** Lets new calls go to this relay only. */
  async only(relayId: string): Promise<void> {
    for (const { id } of this.relays) {
      await this.want(id, id === relayId ? RelayState.ACTIVE : RelayState.DRAINING);
    }
  }

  async all(): Promise<void> {
    for (const { id } of this.relays) {
      await this.want(id, RelayState.ACTIVE);
    }
  }

  /** Resolves when every replica knows exactly this number of relays. */
  async everybodySees(count: number): Promise<void> {
    for (const { client } of this.replicas) {
      await eventually(
        async () => (await client.listRelays('default')).relays.length === count,
        `${count} relays at every replica`,
      );
    }
  }

  /**
   * Starts a caller. Its name is part of its Call-IDs. Where calls go on without being told, a machine that does not keep up with
   * the rate gets new calls as old ones end.
   */
  caller(name: string, { calls, perSecond, pauseMs }: CallerOptions): Promise<Sipp> {
    const atOnce = pauseMs === undefined ? calls : Math.ceil(perSecond * ((2 * pauseMs) / 1000 + 1));
    return Sipp.start(this.parts.scope, {
      name,
      directory: this.parts.directory,
      scenario: join(kamailioFiles, 'caller.xml'),
      held: pauseMs === undefined,
      to: { host: '127.0.0.1', port: this.#balancerPort },
      args: [
        ...[
          '-s',
          'callee',
          '-m',
          `${calls}`,
          '-r',
          `${perSecond}`,
          '-l',
          `${atOnce}`,
          '-cid_str',
          `${name}-%u`,
        ],
        ...(pauseMs === undefined ? [] : ['-d', `${pauseMs}`]),
      ],
    });
  }

  /** The bindings in etcd, including those of ended calls, by Call-ID. */
  async bindings(): Promise<Map<string, { relay: string; generation: number; released: boolean }>> {
    const found = new Map<string, { relay: string; generation: number; released: boolean }>();
    for (const { id } of this.relays) {
      for await (const { callId, generation, released } of this.client.listBindings('default', id)) {
        found.set(callId, { relay: id, generation: Number(generation), released });
      }
    }
    return found;
  }

  async #addRelay(spec: RelaySpec, index: number): Promise<void> {
    const { scope, network, etcd } = this.parts;
    this.relays.push(await startRelay(scope, spec, `${network}.${index + 1}`, etcd?.endpoint));
  }

  async #addReplica(etcd: string, keepsSocket: boolean): Promise<void> {
    this.replicas.push(await GatewayReplica.start(this.parts.scope, etcd, { keepsSocket }));
  }

  async #startProxies(through: SceneOptions['through'], protocol: 'ng' | 'rtpproxy'): Promise<void> {
    const { scope, directory } = this.parts;
    const list: string[] = [];
    for (const index of [0, 1]) {
      const port = await freeUdpPort();
      list.push(`1 sip:127.0.0.1:${port}`);
      const settings =
        through === 'gRPC'
          ? await this.#asking(index)
          : protocol === 'rtpproxy'
            ? this.#throughRtpproxy(index)
            : this.#throughGateway(index, through);
      const options = { name: `proxy-${index + 1}`, directory, port, ...settings };
      this.proxies.push(await Kamailio.start(scope, options));
    }
    const dispatcher = join(directory, 'dispatcher.list');
    await writeFile(dispatcher, `${list.join('\n')}\n`);
    this.#balancerPort = await freeUdpPort();
    await Kamailio.start(scope, {
      name: 'balancer',
      directory,
      port: this.#balancerPort,
      defines: { WITH_BALANCER: undefined, SWAP_PROXIES: undefined, DISPATCHER_LIST: `"${dispatcher}"` },
    });
  }

  #throughGateway(index: number, through: SceneOptions['through']): Pick<KamailioOptions, 'defines'> {
    const gateways = this.replicas.map(({ ng }) => `udp:${ng}`);
    const direct = this.relays.map(({ port }) => `udp:127.0.0.1:${port}`);
    const [own, spare] = index === 0 ? gateways : gateways.toReversed();
    const spared =
      through === 'own gateway, or the other' ? { WITH_SPARE: undefined, NG_SPARE: `"1 == ${spare}"` } : {};
    return { defines: { NG_SOCK: `"${own ?? direct.join(' ')}"`, WORKERS: '16', ...spared } };
  }

  #throughRtpproxy(index: number): Pick<KamailioOptions, 'defines'> {
    const direct = this.relays.map(({ rtpproxyPort }) => `udp:127.0.0.1:${rtpproxyPort}`).join(' ');
    const replica = this.replicas[index];
    const sockets = replica ? `udp:${replica.rtpproxy}` : direct;
    return { defines: { WITH_RTPPROXY: undefined, RTPPROXY_SOCK: `"${sockets}"`, WORKERS: '16' } };
  }

  /** A proxy that uses both replicas in turn. */
  async #asking(index: number): Promise<Pick<KamailioOptions, 'configuration' | 'defines'>> {
    const { scope, directory } = this.parts;
    const replicas = this.replicas.map(({ grpcPort }) => `127.0.0.1:${grpcPort}`);
    const relays = this.relays.map(({ port }) => port);
    return await kemiOptions(scope, join(directory, `script-${index + 1}`), replicas, relays);
  }

  async #startCallee(): Promise<void> {
    const { scope, directory } = this.parts;
    this.#callee = await Sipp.start(scope, {
      name: 'callee',
      directory,
      scenario: join(kamailioFiles, 'callee.xml'),
      args: [],
    });
    const registration = await Sipp.start(scope, {
      name: 'register',
      directory,
      scenario: join(kamailioFiles, 'register.xml'),
      to: { host: '127.0.0.1', port: this.#balancerPort },
      args: ['-s', 'callee', '-m', '1', '-key', 'contact', `127.0.0.1:${this.#callee.port}`],
    });
    await registration.process.success();
    for (const proxy of this.proxies) {
      await eventually(
        async () => (await proxy.ask('ul.dump')).includes('callee'),
        'the phone to be registered',
      );
    }
  }
}
