import { credentials, Server, ServerCredentials } from '@grpc/grpc-js';
import type { Etcd3 } from 'etcd3';
import { SelectionServiceClient } from '../../proto/generated/holdfast/v1/selection.js';
import { ng } from '../../services/control/ng/protocol.js';
import type { Binding } from '../../services/domain/binding.js';
import { type Call, parseCall } from '../../services/domain/call.js';
import { EmbeddedEtcd } from '../../services/embedded-etcd/embedded-etcd.js';
import { noMemory } from '../../services/gateway/call-memory.js';
import { ControlInquiry } from '../../services/gateway/control-inquiry.js';
import { Gateway } from '../../services/gateway/gateway.js';
import { NgFront } from '../../services/gateway/ng/front.js';
import { RetryQueue } from '../../services/gateway/retry-queue.js';
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
import { ModelRelays } from './model-relays.js';
import type { NgRelayModelOptions } from './ng-relay-model.js';
import { GrpcProxy, NgProxy } from './sip-fronts.js';

export const replicaCount = 2;
export const relayIds = ['r1', 'r2', 'r3'];
const allNetworks = [{ address: '127.0.0.0', prefixLength: 8 }];

/** A step in the history of a call, as etcd had it. */
export interface Step {
  readonly revision: number;
  readonly binding: Binding;
}

/** Two replicas, each with both fronts, and three relays, in one time that goes by when nothing else happens. */
export class SipWorld {
  readonly clock: ManualClock;
  readonly relays: ModelRelays;
  readonly ng: NgProxy;
  readonly grpc: GrpcProxy;
  /** What goes on in gateways and clients. */
  #underWay = 0;
  readonly #gateways: ProxyClient[] = [];
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
    this.relays = new ModelRelays(relayIds, clock, options);
    const retries = new RetryQueue({ clock, log: silentLogger });
    scope.teardown(() => this.drive(retries.stop()));
    this.ng = new NgProxy(this.#gateways);
    this.grpc = new GrpcProxy({ replicas: this.#clients, relays: this.relays, retries });
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
    const { scope, clock, keys, relays } = this;
    const selector = await startSelector(scope, this.endpoint, {
      clock,
      keys,
      // The same whatever the Call-ID is.
      placement: 'first-available',
      inquiry: new ControlInquiry(this.#watched(relays), { ng: noMemory(ng) }),
      // Relays leave as cases want, not as leases do.
      massLossPercent: 100,
    });
    const { directory } = selector;
    const listeners = [{ address: { host: '127.0.0.1', port: 0 }, scope: { set: undefined } }];
    const gateway = new Gateway(
      {
        router: this.#watched(selector.selector),
        clients: this.#watched(relays),
        directory,
        memory: noMemory(ng),
        openFront: (deps) => new NgFront(deps, { listeners, passed: [] }),
        notReady: () => undefined,
        metrics: noMetrics,
        clock,
        log: silentLogger,
      },
      {
        admission: { allowed: allNetworks, perSourcePerSecond: 0 },
        callTtlSeconds: defaultSettings.callTtlSeconds,
      },
    );
    await gateway.start();
    scope.teardown(() => this.drive(gateway.stop()));
    const proxy = new ProxyClient('127.0.0.1', gateway.addresses[0]?.port ?? 0, { retransmitMs: 10_000 });
    await proxy.start();
    scope.teardown(() => proxy.stop());
    this.#selectors.push(selector);
    this.#gateways.push(proxy);
    this.#clients.push(await this.#serveGrpc(selector));
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

  /** What becomes of a call, by etcd. */
  async historyOf(callId: string): Promise<Step[]> {
    await this.history.catchUp();
    const { key } = parseCall(callId, '', 'default');
    return this.history.of(key).flatMap(({ revision, kv }) => {
      const binding = kv && valid(bindingCodec.decode(key, kv.value));
      return binding ? [{ revision, binding }] : [];
    });
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
      if (this.relays.waitsForTime) {
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
      if (this.relays.waitsForTime) {
        this.clock.advance(10);
      }
      if (this.#underWay > 0 || this.relays.outstanding > 0) {
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
  async heardOf(callId: string): Promise<void> {
    const last = (await this.historyOf(callId)).at(-1)?.binding;
    const call: Call = parseCall(callId, '', 'default');
    for (const { cache } of this.#selectors) {
      await this.#until(() => {
        const known = cache.fresh(call)?.binding;
        return !known || !last || known.generation >= last.generation;
      });
    }
  }

  /** The next case begins with idle relays. */
  forgetCalls(): void {
    for (const id of relayIds) {
      this.relays.host(id).model.forgetAll();
    }
  }

  /** Its registration goes, as that of a relay that has died. */
  async deregister(id: string): Promise<void> {
    await deleteRelay(this.client, this.keys, aRelay({ id }));
    await this.#until(() => this.#selectors.every(({ directory }) => !directory.get('default', id)));
  }

  async restart(id: string): Promise<void> {
    this.relays.restart(id);
    await this.#register(id);
  }

  async drain(id: string, isDraining: boolean): Promise<void> {
    const key = this.keys.intent('default', id);
    const state = isDraining ? 'draining' : 'active';
    const value = intentCodec.encode({ state, reason: 'a test', actor: 'a test', atMs: 0 });
    await this.client.kv.put({ key, value });
    await this.#until(() =>
      this.#selectors.every(({ directory }) => directory.get('default', id)?.intent?.state === state),
    );
  }

  async #register(id: string): Promise<void> {
    const { instance } = this.relays.host(id);
    await putRelay(this.client, this.keys, aRelay({ id, instance, kind: 'rtpengine' }));
    await this.#until(() =>
      this.#selectors.every(({ directory }) => directory.get('default', id)?.relay.instance === instance),
    );
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
