import type { Etcd3 } from 'etcd3';
import type { Binding } from '../../services/domain/binding.js';
import { callFromKey, parseCall } from '../../services/domain/call.js';
import type { Intent, Relay } from '../../services/domain/relay.js';
import { EmbeddedEtcd } from '../../services/embedded-etcd/embedded-etcd.js';
import { endOfPrefix } from '../../services/etcd/range.js';
import { bindingCodec } from '../../services/registry/codecs/binding.js';
import { intentCodec } from '../../services/registry/codecs/intent.js';
import { relayCodec } from '../../services/registry/codecs/relay.js';
import type { Keyspace } from '../../services/registry/keyspace.js';
import type { WithoutQuorumMode } from '../../services/selection/outage/outage-fallback.js';
import { ManualClock, turns } from '../support/clock.js';
import { connect } from '../support/etcd.js';
import { FaultyConnection } from '../support/faulty-connection.js';
import { EtcdHistory, type Version } from '../support/history.js';
import type { Scope } from '../support/process.js';
import { newKeyspace, startSelector, type TestSelector, valid } from '../support/registry.js';

export const settings = { setupTtlSeconds: 60, callTtlSeconds: 300, lingerSeconds: 30 };

/** One version of a call, as etcd had it from this revision on. */
export interface BindingVersion {
  readonly revision: number;
  readonly binding: Binding | undefined;
}

/** What all keys begin with. */
const root = ({ calls }: Keyspace) => calls.slice(0, -'calls/'.length);

/** One replica's selector; its way to etcd fares as a case wants. */
export class Replica {
  private constructor(
    readonly connection: FaultyConnection,
    readonly parts: TestSelector,
    /** By kind of key: to which revision it was told of those. */
    private readonly heard: ReadonlyMap<string, number>,
  ) {}

  static async start(world: SelectorWorld): Promise<Replica> {
    const { clock, keys, withoutQuorum } = world;
    const connection = new FaultyConnection(world.endpoint);
    const heard = new Map<string, number>();
    connection.onNews = (key, revision) => {
      const kind = key.slice(root(keys).length).split('/')[0] ?? '';
      heard.set(kind, Math.max(revision, heard.get(kind) ?? 0));
    };
    world.scope.teardown(() => connection.close());
    const starting = startSelector(world.scope, world.endpoint, {
      connection,
      clock,
      keys,
      settings,
      placement: 'rendezvous',
      withoutQuorum,
      // Relays leave as cases want, not as leases do.
      massLossPercent: 100,
    });
    return new Replica(connection, await world.drive(starting), heard);
  }

  /** etcd answers it, and it hears relays, intents, loads and moves. */
  get isLive(): boolean {
    const { directory, moves, quorum } = this.parts;
    return directory.live && moves.live && !quorum.lost && this.connection.openWatches === 5;
  }

  /** True if it hears all, and has heard of these changes. */
  hasHeard(news: ReadonlyMap<string, number>): boolean {
    return this.isLive && [...news].every(([kind, revision]) => (this.heard.get(kind) ?? 0) >= revision);
  }

  stop(): Promise<unknown> {
    return this.parts.stop();
  }
}

/** Replicas, relays and an etcd in one time, which stands until a case moves it, and etcd's own history of it all. */
export class SelectorWorld {
  readonly replicas: Replica[] = [];
  /** etcd's revision when the history was read last. */
  revision = 0;
  /** By kind of key: revision of the last change that replicas are to hear of. */
  readonly #news = new Map<string, number>();

  private constructor(
    readonly scope: Scope,
    readonly endpoint: string,
    readonly client: Etcd3,
    readonly clock: ManualClock,
    readonly keys: Keyspace,
    private readonly history: EtcdHistory,
    readonly withoutQuorum: WithoutQuorumMode,
  ) {}

  /** With an etcd of its own, in the same time. */
  static async open(
    scope: Scope,
    replicas: number,
    mode: WithoutQuorumMode = 'strict',
  ): Promise<SelectorWorld> {
    const clock = new ManualClock();
    const etcd = new EmbeddedEtcd({ clock });
    await etcd.start();
    scope.teardown(() => etcd.stop());
    return await SelectorWorld.over(scope, etcd.endpoint, replicas, clock, mode);
  }

  /** With an etcd that is there already, whose leases run by another clock. */
  static async over(
    scope: Scope,
    endpoint: string,
    replicas: number,
    clock = new ManualClock(),
    mode: WithoutQuorumMode = 'strict',
  ): Promise<SelectorWorld> {
    const keys = newKeyspace();
    const history = await EtcdHistory.watch(scope, endpoint, root(keys));
    const world = new SelectorWorld(scope, endpoint, connect(scope, endpoint), clock, keys, history, mode);
    await world.readHistory();
    for (let i = 0; i < replicas; i++) {
      world.replicas.push(await Replica.start(world));
    }
    return world;
  }

  /** Puts a relay into etcd, or takes it out. */
  async register(id: string, relay: Relay | undefined): Promise<void> {
    await this.#write(this.keys.relay('default', id), relay && relayCodec.encode(relay));
  }

  async intend(id: string, intent: Intent | undefined): Promise<void> {
    await this.#write(this.keys.intent('default', id), intent && intentCodec.encode(intent));
  }

  /** All that was written before is in the history. @returns etcd's revision */
  async readHistory(): Promise<number> {
    this.revision = await this.history.catchUp();
    for (const { key, revision } of this.history.versions) {
      const kind = key.split('/')[0] ?? '';
      if (['relays', 'intents', 'moves'].includes(kind)) {
        this.#news.set(kind, revision);
      }
    }
    return this.revision;
  }

  /** Resolves when those replicas have heard of everything. */
  async settle(replicas: readonly Replica[]): Promise<void> {
    await this.readHistory();
    const haveHeard = () => replicas.every((replica) => replica.hasHeard(this.#news));
    await this.#until(haveHeard, 'the replicas have not heard of all that happened');
    await turns();
  }

  /** Time goes by for as long as whoever is asked waits for it. */
  async drive<T>(asked: Promise<T>): Promise<T> {
    let isDone = false;
    const finish = () => {
      isDone = true;
    };
    asked.then(finish, finish);
    await this.#until(() => isDone, 'no answer');
    return await asked;
  }

  /** The versions of a call, oldest first. */
  bindings(callId: string): BindingVersion[] {
    const { key } = parseCall(callId);
    return this.history.of(`calls/${key}`).map(({ revision, kv }) => ({
      revision,
      binding: kv && valid(bindingCodec.decode(key, kv.value)),
    }));
  }

  /** The instance that was registered just before this revision. */
  registeredBefore(revision: number, relayId: string): string | undefined {
    const versions: Version[] = this.history.of(`relays/default/${relayId}`);
    const kv = versions.findLast((version) => version.revision < revision)?.kv;
    const relay = kv && relayCodec.decode(`default/${relayId}`, kv.value);
    return relay && 'instance' in relay ? relay.instance : undefined;
  }

  /** True if the binding's instance was registered at this revision, or later. */
  registeredSince(revision: number, { relayId, instance }: Binding): boolean {
    const later = this.history
      .of(`relays/default/${relayId}`)
      .filter((version) => version.revision > revision);
    return [revision, ...later.map((version) => version.revision)].some(
      (each) => this.registeredBefore(each + 1, relayId) === instance,
    );
  }

  /** The calls that etcd holds, whatever the history says. */
  async bound(): Promise<Set<string>> {
    const { calls } = this.keys;
    const { kvs } = await this.client.kv.range({ key: Buffer.from(calls), range_end: endOfPrefix(calls) });
    return new Set(kvs.map(({ key }) => callFromKey(key.toString().slice(calls.length))?.callId ?? ''));
  }

  async #write(key: Buffer, value: Buffer | undefined): Promise<void> {
    if (value) {
      await this.client.kv.put({ key, value });
    } else {
      await this.client.kv.deleteRange({ key });
    }
  }

  async #until(isTrue: () => boolean, otherwise: string): Promise<void> {
    const deadlineMs = performance.now() + 10_000;
    for (let round = 0; !isTrue(); round++) {
      if (performance.now() > deadlineMs) {
        throw new Error(`${otherwise} after 10 s`);
      }
      // Answers come by themselves; only who waits before another attempt needs time to go by.
      if (round > 10) {
        this.clock.advance(20);
      }
      await (round > 5 ? new Promise((resolve) => setTimeout(resolve, 2)) : turns(1));
    }
  }
}
