import { credentials, Server, ServerCredentials } from '@grpc/grpc-js';
import type { Etcd3 } from 'etcd3';
import { SelectionServiceClient } from '../../proto/generated/holdfast/v1/selection.js';
import { ng } from '../../services/control/ng/protocol.js';
import { UdpClient } from '../../services/control/udp/client.js';
import type { Binding } from '../../services/domain/binding.js';
import { type Call, parseCall } from '../../services/domain/call.js';
import { EmbeddedEtcd } from '../../services/embedded-etcd/embedded-etcd.js';
import { type CallMemory, noMemory } from '../../services/gateway/call-memory.js';
import { ControlInquiry } from '../../services/gateway/control-inquiry.js';
import { Gateway, type GatewayDeps } from '../../services/gateway/gateway.js';
import { NgFront } from '../../services/gateway/ng/front.js';
import type { RelayAccess } from '../../services/gateway/relay-clients.js';
import { RetryQueue } from '../../services/gateway/retry-queue.js';
import { RtpproxyFront } from '../../services/gateway/rtpproxy/front.js';
import { SessionMemory } from '../../services/gateway/rtpproxy/session-memory.js';
import { selectionService } from '../../services/grpc/selection-service.js';
import { bindingCodec } from '../../services/registry/codecs/binding.js';
import { intentCodec } from '../../services/registry/codecs/intent.js';
import type { Keyspace } from '../../services/registry/keyspace.js';
import { silentLogger } from '../../services/runtime/log.js';
import { noMetrics } from '../../services/selection/front-metrics.js';
import { ManualClock, turns } from '../support/clock.js';
import { connect } from '../support/etcd.js';
import { EtcdHistory } from '../support/history.js';
import { ProxyClient } from '../support/ng.js';
import type { Scope } from '../support/process.js';
import {
  aRelay,
  defaultSettings,
  deleteRelay,
  newKeyspace,
  putRelay,
  startSelector,
  type TestSelector,
  valid,
} from '../support/registry.js';
import { type Host, ModelRelays, type RelayModel } from './model-relays.js';
import { NgRelayModel, type NgRelayModelOptions } from './ng-relay-model.js';
import { RtpproxyRelayModel } from './rtpproxy-relay-model.js';
import { type Front, type FrontName, GrpcProxy, NgProxy, RtpproxyProxy } from './sip-fronts.js';

export const replicaCount = 2;
export const relayIds = ['r1', 'r2', 'r3'];
const allNetworks = [{ address: '127.0.0.0', prefixLength: 8 }];

/** A step in the history of a call, as etcd had it. */
export interface Step {
  readonly revision: number;
  readonly binding: Binding;
  /** There was none any more: its time had run out. */
  readonly isAnew: boolean;
}

/** The relays that a front has: for rtpproxy's protocol, those that speak it are a set of their own. */
const setOf = (front: FrontName): string => (front === 'rtpproxy' ? 'rtpproxy' : 'default');
const sets = [setOf('ng'), setOf('rtpproxy')];

/**
 * Two replicas, each with all fronts, and three machines, each with a relay that speaks ng and one that speaks rtpproxy's protocol,
 * in one time that goes by when nothing else happens.
 */
export class SipWorld {
  readonly clock: ManualClock;
  readonly fronts: Readonly<Record<FrontName, Front>>;
  readonly #ngRelays: ModelRelays<NgRelayModel>;
  readonly #rtpproxies: ModelRelays<RtpproxyRelayModel>;
  /** What goes on in gateways and clients. */
  #underWay = 0;
  readonly #ngGateways: ProxyClient[] = [];
  readonly #rtpproxyGateways: UdpClient[] = [];
  readonly #clients: SelectionServiceClient[] = [];
  readonly #selectors: TestSelector[] = [];

  private constructor(
    private readonly scope: Scope,
    private readonly endpoint: string,
    private readonly client: Etcd3,
    private readonly keys: Keyspace,
    private readonly history: EtcdHistory,
    clock: ManualClock,
    options: NgRelayModelOptions,
  ) {
    this.clock = clock;
    this.#ngRelays = new ModelRelays(relayIds, clock, () => new NgRelayModel(clock, options));
    this.#rtpproxies = new ModelRelays(relayIds, clock, () => new RtpproxyRelayModel());
    const retries = new RetryQueue({ clock, log: silentLogger });
    scope.teardown(() => this.drive(retries.stop()));
    this.fronts = {
      ng: new NgProxy(this.#ngGateways),
      rtpproxy: new RtpproxyProxy(this.#rtpproxyGateways),
      grpc: new GrpcProxy({ replicas: this.#clients, relays: this.#ngRelays, retries }),
    };
  }

  static async open(scope: Scope, options: NgRelayModelOptions): Promise<SipWorld> {
    const clock = new ManualClock();
    const etcd = new EmbeddedEtcd({ clock });
    await etcd.start();
    scope.teardown(() => etcd.stop());
    const { endpoint } = etcd;
    const keys = newKeyspace();
    const history = await EtcdHistory.watch(scope, endpoint, keys.calls);
    const world = new SipWorld(scope, endpoint, connect(scope, endpoint), keys, history, clock, options);
    for (const id of relayIds) {
      await world.#register(id);
    }
    for (let at = 0; at < replicaCount; at++) {
      await world.drive(world.#openReplica());
    }
    return world;
  }

  async #openReplica(): Promise<void> {
    const { scope, clock, keys } = this;
    const memories = { ng: noMemory(ng), rtpproxy: new SessionMemory(clock) };
    const clients = this.#watched(this.#access);
    const selector = await startSelector(scope, this.endpoint, {
      clock,
      keys,
      // The same whatever the Call-ID is.
      placement: 'first-available',
      inquiry: new ControlInquiry(clients, memories),
      // Relays leave as cases want, not as leases do.
      massLossPercent: 100,
    });
    this.#selectors.push(selector);
    const listener = { address: { host: '127.0.0.1', port: 0 }, scope: { set: undefined } };
    const ngPort = await this.#openGateway(selector, clients, memories.ng, (deps) => {
      return new NgFront(deps, { listeners: [listener], passed: [] });
    });
    const rtpproxyPort = await this.#openGateway(selector, clients, memories.rtpproxy, (deps) => {
      const listeners = [{ ...listener, scope: { set: setOf('rtpproxy') } }];
      return new RtpproxyFront(
        { ...deps, memory: memories.rtpproxy },
        { listeners, passed: [], notification: undefined },
      );
    });
    const address = { host: '127.0.0.1', port: rtpproxyPort };
    const rtpproxyGateway = new UdpClient({ ...address, timeoutMs: 10_000, retransmitMs: 10_000 });
    const ngGateway = new ProxyClient('127.0.0.1', ngPort, { retransmitMs: 10_000 });
    for (const gateway of [rtpproxyGateway, ngGateway]) {
      await gateway.start();
      scope.teardown(() => gateway.stop());
    }
    this.#ngGateways.push(ngGateway);
    this.#rtpproxyGateways.push(rtpproxyGateway);
    this.#clients.push(await this.#serveGrpc(selector));
  }

  /** @returns its port */
  async #openGateway(
    { selector, directory }: TestSelector,
    clients: RelayAccess,
    memory: CallMemory,
    openFront: GatewayDeps['openFront'],
  ): Promise<number> {
    const { scope, clock } = this;
    const router = this.#watched(selector);
    const shared = { router, clients, directory, memory, openFront, clock };
    const gateway = new Gateway(
      { ...shared, notReady: () => undefined, metrics: noMetrics, log: silentLogger },
      {
        admission: { allowed: allNetworks, perSourcePerSecond: 0 },
        callTtlSeconds: defaultSettings.callTtlSeconds,
      },
    );
    await gateway.start();
    scope.teardown(() => this.drive(gateway.stop()));
    return gateway.addresses[0]?.port ?? 0;
  }

  async #serveGrpc({ selector }: TestSelector): Promise<SelectionServiceClient> {
    const observer = { metrics: noMetrics, clock: this.clock, log: silentLogger, notReady: () => undefined };
    const { definition, methods } = selectionService(selector, observer);
    const server = new Server();
    server.addService(definition, methods);
    const port = await new Promise<number>((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      ),
    );
    const client = new SelectionServiceClient(`127.0.0.1:${port}`, credentials.createInsecure());
    this.scope.teardown(() => {
      client.close();
      server.forceShutdown();
    });
    return client;
  }

  /** What becomes of a call of that front, by etcd. */
  async historyOf(front: FrontName, callId: string): Promise<Step[]> {
    await this.history.catchUp();
    const { key } = parseCall(callId, '', setOf(front));
    return this.history.of(key).flatMap(({ revision, kv }, i, versions) => {
      const binding = kv && valid(bindingCodec.decode(key, kv.value));
      return binding ? [{ revision, binding, isAnew: versions[i - 1]?.kv === undefined }] : [];
    });
  }

  /** Relays that know a call of that front. */
  carriersOf(front: FrontName, callId: string): string[] {
    return this.#relaysOf(setOf(front)).carriersOf(callId);
  }

  /** The relays of one machine. */
  hosts(id: string): Host<RelayModel>[] {
    return this.#families.map((relays) => relays.host(id));
  }

  /** The life of a relay that has calls of that front. */
  instanceOf(front: FrontName, id: string): string {
    return this.#relaysOf(setOf(front)).host(id).instance;
  }

  get #families(): ModelRelays<RelayModel>[] {
    return [this.#ngRelays, this.#rtpproxies];
  }

  #relaysOf(set: string): ModelRelays<RelayModel> {
    return set === setOf('rtpproxy') ? this.#rtpproxies : this.#ngRelays;
  }

  /** The way to the relays of both sets. */
  get #access(): RelayAccess {
    return {
      ask: (registered, request, timeoutMs) =>
        this.#relaysOf(registered.relay.set).ask(registered, request, timeoutMs),
      isSilent: () => false,
      unspoken: () => [],
      whyUnspoken: () => undefined,
    };
  }

  get #outstanding(): number {
    return this.#families.reduce((sum, { outstanding }) => sum + outstanding, 0);
  }

  /** Nothing happens until time goes by. */
  get #waitsForTime(): boolean {
    const silent = this.#families.reduce((sum, each) => sum + each.silent, 0);
    return silent > 0 && silent === this.#outstanding;
  }

  /** Time goes by for as long as this waits for it. */
  async drive<T>(asked: Promise<T>): Promise<T> {
    let isDone = false;
    const finish = () => {
      isDone = true;
    };
    asked.then(finish, finish);
    const deadlineMs = performance.now() + 15_000;
    for (let round = 0; !isDone; round++) {
      if (performance.now() > deadlineMs) {
        throw new Error('no answer after 15 s');
      }
      if (this.#waitsForTime) {
        this.clock.advance(10);
      } else if (round > 30) {
        this.clock.advance(5);
      }
      await (round > 20 ? new Promise((resolve) => setTimeout(resolve, 1)) : turns(1));
    }
    return await asked;
  }

  /** Resolves when nothing goes on but what waits for time. */
  async calm(): Promise<void> {
    for (let calmTurns = 0; calmTurns < 4; calmTurns++) {
      if (this.#waitsForTime) {
        this.clock.advance(10);
      }
      if (this.#underWay > 0 || this.#outstanding > 0) {
        calmTurns = 0;
      }
      await turns(2);
    }
  }

  async pass(seconds: number): Promise<void> {
    for (let passed = 0; passed < seconds; passed++) {
      this.clock.advance(1000);
      await turns(1);
      await this.calm();
    }
  }

  /** Both replicas know of the last move of the call. */
  async heardOf(front: FrontName, callId: string): Promise<void> {
    const last = (await this.historyOf(front, callId)).at(-1)?.binding;
    const call: Call = parseCall(callId, '', setOf(front));
    for (const { cache } of this.#selectors) {
      await this.#until(() => {
        const known = cache.fresh(call)?.binding;
        return !known || !last || known.generation >= last.generation;
      });
    }
  }

  /** The next case begins with idle relays. */
  forgetCalls(): void {
    for (const { model } of relayIds.flatMap((id) => this.hosts(id))) {
      model.forgetAll();
    }
  }

  pause(id: string): void {
    for (const host of this.hosts(id)) {
      host.state = 'paused';
    }
  }

  resume(id: string): void {
    for (const relays of this.#families) {
      relays.resume(id);
    }
  }

  kill(id: string): void {
    for (const relays of this.#families) {
      relays.kill(id);
    }
  }

  /** The registrations go, as those of relays that have died. */
  async deregister(id: string): Promise<void> {
    for (const set of sets) {
      await deleteRelay(this.client, this.keys, aRelay({ id, set }));
      await this.#until(() => this.#selectors.every(({ directory }) => !directory.get(set, id)));
    }
  }

  async restart(id: string): Promise<void> {
    for (const relays of this.#families) {
      relays.restart(id);
    }
    await this.#register(id);
  }

  async drain(id: string, isDraining: boolean): Promise<void> {
    for (const set of sets) {
      const key = this.keys.intent(set, id);
      const state = isDraining ? 'draining' : 'active';
      const value = intentCodec.encode({ state, reason: 'a test', actor: 'a test', atMs: 0 });
      await this.client.kv.put({ key, value });
      await this.#until(() =>
        this.#selectors.every(({ directory }) => directory.get(set, id)?.intent?.state === state),
      );
    }
  }

  async #register(id: string): Promise<void> {
    for (const set of sets) {
      const { instance } = this.#relaysOf(set).host(id);
      const kind = set === setOf('rtpproxy') ? 'rtpproxy' : 'rtpengine';
      await putRelay(this.client, this.keys, aRelay({ id, set, instance, kind }));
      await this.#until(() =>
        this.#selectors.every(({ directory }) => directory.get(set, id)?.relay.instance === instance),
      );
    }
  }

  async #until(isTrue: () => boolean): Promise<void> {
    const waiting = async () => {
      while (!isTrue()) {
        await turns(1);
      }
    };
    await this.drive(waiting());
  }

  /** The same object, whose methods count as under way until they are done. */
  #watched<T extends object>(target: T): T {
    return new Proxy(target, {
      get: (_, name) => {
        const member: unknown = Reflect.get(target, name, target);
        if (typeof member !== 'function') {
          return member;
        }
        return (...args: unknown[]) => {
          const result: unknown = member.apply(target, args);
          if (result instanceof Promise) {
            this.#underWay++;
            const finish = () => {
              this.#underWay--;
            };
            result.then(finish, finish);
          }
          return result;
        };
      },
    });
  }
}
