import { randomBytes } from 'node:crypto';
import type { Etcd3 } from 'etcd3';
import type { Binding } from '../../services/domain/binding.js';
import { type Call, parseCall } from '../../services/domain/call.js';
import { HoldfastError } from '../../services/domain/error.js';
import { Events } from '../../services/domain/events.js';
import type { Relay } from '../../services/domain/relay.js';
import { EtcdConnection } from '../../services/etcd/connection.js';
import { GroupCommit } from '../../services/etcd/group-commit.js';
import { InvalidValue } from '../../services/etcd/invalid-value.js';
import { LeasePool } from '../../services/etcd/lease-pool.js';
import type { PolicyName } from '../../services/placement/placement.js';
import { BindingStore } from '../../services/registry/binding-store.js';
import type { StartTime } from '../../services/registry/codecs/instance.js';
import { relayCodec } from '../../services/registry/codecs/relay.js';
import { Keyspace } from '../../services/registry/keyspace.js';
import { RelayDirectory } from '../../services/registry/relay-directory.js';
import { type Clock, systemClock } from '../../services/runtime/clock.js';
import { type Logger, silentLogger } from '../../services/runtime/log.js';
import type { RelayInquiry } from '../../services/selection/carried/relay-inquiry.js';
import { Engine } from '../../services/selection/engine.js';
import type { WithoutQuorumMode } from '../../services/selection/outage/outage-fallback.js';
import type { Answer, SelectRequest } from '../../services/selection/requests.js';
import type { SelectorSettings } from '../../services/selection/ttl-policy.js';
import type { Scope } from './process.js';

/** Relays that do not say what they carry. */
const silentInquiry: RelayInquiry = {
  carries: async () => undefined,
  isSilent: () => false,
  list: async () => undefined,
};

/** A keyspace that no other test of the same etcd uses. */
export function newKeyspace(): Keyspace {
  return new Keyspace(`/test-${randomBytes(6).toString('hex')}/v1`);
}

export function aRelay(overrides: Partial<Relay> = {}): Relay {
  const id = overrides.id ?? 'r1';
  return {
    id,
    set: 'default',
    kind: 'builtin',
    instance: `life-of-${id}`,
    controlUrl: `udp:192.0.2.1:${2000 + (Number(/\d+/.exec(id)?.[0]) || 0)}`,
    mediaAddresses: { default: '192.0.2.1' },
    state: 'active',
    weight: 100,
    capacity: 0,
    zone: '',
    labels: {},
    features: [],
    version: 'test',
    startedAtMs: 1_700_000_000_000,
    ...overrides,
  };
}

/** A binding of the call of this id to relay `r1`, in setup, as a selector would write it at time 0. */
export function aBinding(callId: string | Call, overrides: Partial<Binding> = {}): Binding {
  const call = typeof callId === 'string' ? parseCall(callId, '', 'default') : callId;
  return {
    call,
    relayId: 'r1',
    instance: 'life-of-r1',
    generation: 1,
    requestId: 'request',
    state: 'setup',
    beginning: 'request',
    createdAtMs: 0,
    ttlSeconds: 300,
    expiresAtMs: 450_000,
    moves: [],
    notices: [],
    ...overrides,
  };
}

/** When the media process of a relay started. */
export function startOf({ startedAtMs }: Relay): StartTime {
  return { wallMs: startedAtMs, sinceBootMs: 1000, bootId: 'boot-of-tests' };
}

/** What was decoded, unless it was invalid. */
export function valid<T>(decoded: T | InvalidValue | undefined): T | undefined {
  return decoded instanceof InvalidValue ? undefined : decoded;
}

/** Puts a registration into etcd as its relay node would, but without a lease. @returns its mod revision */
export async function putRelay(client: Etcd3, keys: Keyspace, relay: Relay, lease = '0'): Promise<number> {
  const { header } = await client.kv.put({
    key: keys.relay(relay.set, relay.id),
    value: relayCodec.encode(relay),
    lease,
  });
  return Number(header.revision);
}

export async function deleteRelay(client: Etcd3, keys: Keyspace, { set, id }: Relay): Promise<void> {
  await client.kv.deleteRange({ key: keys.relay(set, id) });
}

export interface RegistryOptions {
  readonly keys?: Keyspace;
  readonly clock?: Clock;
  readonly log?: Logger;
  /** Deadline of one call to etcd. */
  readonly timeoutMs?: number;
  /** A separate endpoint for watches, so that a test can delay only these. */
  readonly watchEndpoint?: string;
  /** Used instead of a new connection. Its opener closes it. */
  readonly connection?: EtcdConnection;
}

/** Uses another endpoint for watches than for reads and writes. */
class ForkedConnection extends EtcdConnection {
  readonly #watches: EtcdConnection;

  constructor(endpoint: string, watchEndpoint: string, timeoutMs: number) {
    super({ endpoints: [endpoint], timeoutMs });
    this.#watches = new EtcdConnection({ endpoints: [watchEndpoint], timeoutMs });
  }

  override watch() {
    return this.#watches.watch();
  }

  override close(): void {
    super.close();
    this.#watches.close();
  }
}

/** @param endpoint of all members, separated by commas */
export function openConnection(
  scope: Scope,
  endpoint: string,
  timeoutMs = 10_000,
  watchEndpoint = '',
): EtcdConnection {
  const connection = watchEndpoint
    ? new ForkedConnection(endpoint, watchEndpoint, timeoutMs)
    : new EtcdConnection({ endpoints: endpoint.split(','), timeoutMs });
  scope.teardown(() => connection.close());
  return connection;
}

/** The collaborators that most classes of the registry need. */
export function registryDeps(scope: Scope, endpoint: string, options: RegistryOptions = {}) {
  return {
    connection:
      options.connection ?? openConnection(scope, endpoint, options.timeoutMs, options.watchEndpoint),
    keys: options.keys ?? newKeyspace(),
    clock: options.clock ?? systemClock,
    log: options.log ?? silentLogger,
    node: 'node-of-a-test',
  };
}

export function openStore(parts: ReturnType<typeof registryDeps>) {
  const { connection, clock } = parts;
  const commits = new GroupCommit(connection);
  const leases = new LeasePool(connection, clock);
  return { commits, leases, store: new BindingStore({ ...parts, commits, leases }) };
}

export interface SelectorOptions extends RegistryOptions {
  readonly settings?: Partial<SelectorSettings>;
  readonly placement?: PolicyName;
  readonly withoutQuorum?: WithoutQuorumMode;
  readonly massLossPercent?: number;
  readonly inquiry?: RelayInquiry;
}

export const defaultSettings: SelectorSettings = {
  setupTtlSeconds: 300,
  callTtlSeconds: 3600,
  lingerSeconds: 30,
};

/** The selector of a replica without gRPC and gateways. It is ready, and stops with the scope. */
export async function startSelector(scope: Scope, endpoint: string, options: SelectorOptions = {}) {
  const events = new Events();
  const { inquiry = silentInquiry } = options;
  const deps = registryDeps(scope, endpoint, options);
  const directory = new RelayDirectory({ ...deps, massLossPercent: options.massLossPercent ?? 15 });
  const parts = { ...deps, directory, events, inquiry };
  const engine = new Engine(parts, {
    ...defaultSettings,
    placement: options.placement ?? 'least-loaded',
    withoutQuorum: options.withoutQuorum ?? 'available',
    cacheEntries: 10_000,
    provisionalEntries: 10_000,
    etcdTimeoutMs: options.timeoutMs ?? 10_000,
    ...options.settings,
  });
  let stopping: Promise<unknown> | undefined;
  const stop = () => {
    stopping ??= engine.stop();
    return stopping;
  };
  scope.teardown(async () => {
    await stop();
  });
  await engine.start('a replica of tests');
  await eventually(() => engine.live && engine.roster.live, 'live views');
  const { commits, leases, store, cache, moves, quorum, selector } = engine;
  return { ...parts, engine, commits, leases, store, cache, directory, moves, quorum, selector, stop };
}

export type TestSelector = Awaited<ReturnType<typeof startSelector>>;

let requests = 0;

/** A request to select a relay for this call. */
export function ask(callId: string | Call, overrides: Partial<SelectRequest> = {}): SelectRequest {
  const call = typeof callId === 'string' ? parseCall(callId) : callId;
  return { call, requestId: `request-${++requests}`, constraints: {}, ...overrides };
}

/** Relay, instance and generation of an answer: equal for answers that agree. */
export const where = ({ binding }: Answer): string =>
  `${binding.relayId}/${binding.instance}/${binding.generation}`;

/** The code of a HoldfastError, or the text of any other error. */
export const codeOf = (error: unknown): string =>
  error instanceof HoldfastError ? error.code : String(error);

export const errorOf = (answer: unknown): Promise<string> =>
  Promise.resolve(answer).then(() => 'no error', codeOf);

/** Polls until the answer is true, where there is no event to await. */
export async function eventually(
  isTrue: () => boolean | Promise<boolean>,
  what: string,
  timeoutMs = 60_000,
): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  while (!(await isTrue())) {
    if (performance.now() > deadlineMs) {
      throw new Error(`no ${what} within ${timeoutMs} ms`);
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
