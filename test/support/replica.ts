import { type CallOptions, type Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import type { Etcd3 } from 'etcd3';
import { pino } from 'pino';
import {
  type ListRelaysRequest,
  type ListRelaysResponse,
  RelayServiceClient,
  SetIntentRequest,
  type SetIntentResponse,
} from '../../proto/generated/holdfast/v1/relay.js';
import {
  type LookupRequest,
  type LookupResponse,
  MoveRequest,
  type MoveResponse,
  type ReleaseRequest,
  type ReleaseResponse,
  SelectionServiceClient,
  SelectRequest,
  type SelectResponse,
} from '../../proto/generated/holdfast/v1/selection.js';
import type { Load, Relay } from '../../services/domain/relay.js';
import { loadCodec } from '../../services/registry/codecs/load.js';
import type { Keyspace } from '../../services/registry/keyspace.js';
import { selectionSettings } from '../../services/replica/config.js';
import { Replica } from '../../services/replica/replica.js';
import { readConfig } from '../../services/runtime/config.js';
import type { Logger, LogLevel } from '../../services/runtime/log.js';
import { traceFields } from '../../services/runtime/trace.js';
import { connect, startEmbeddedEtcd } from './etcd.js';
import type { Scope } from './process.js';
import { aRelay, eventually, newKeyspace, putRelay } from './registry.js';

/** A logger whose lines a test can read. */
export function openLog(level: LogLevel = 'info'): { log: Logger; lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = [];
  const log = pino(
    { level, mixin: traceFields },
    { write: (line: string) => void lines.push(JSON.parse(line)) },
  );
  return { log, lines };
}

export interface InProcessReplica {
  readonly replica: Replica;
  readonly grpc: string;
  readonly http: string;
  readonly selection: SelectionServiceClient;
  readonly relays: RelayServiceClient;
  readonly lines: readonly Record<string, unknown>[];
  /** Resolves when it is ready. */
  readonly ready: Promise<void>;
  stop(): Promise<void>;
}

/** A replica in this process with clients. It listens; `ready` resolves when it knows the relays. */
export async function openReplica(
  scope: Scope,
  etcd: string,
  keys: Keyspace,
  env: Readonly<Record<string, string>> = {},
): Promise<InProcessReplica> {
  const config = readConfig(selectionSettings, {
    HOLDFAST_ETCD: etcd,
    HOLDFAST_ETCD_PREFIX: keys.relays.replace(/\/relays\/$/, ''),
    HOLDFAST_GRPC_LISTEN: '127.0.0.1:0',
    HOLDFAST_HTTP_LISTEN: '127.0.0.1:0',
    HOLDFAST_ETCD_TIMEOUT_MS: '5000',
    ...env,
  });
  const { log, lines } = openLog(config.logLevel);
  const replica = new Replica(config, log);
  const stop = () => replica.stop();
  scope.teardown(stop);
  const ready = replica.start();
  await eventually(() => lines.some(({ msg }) => msg === 'listening; reading etcd'), 'listener');
  const { grpcAddress: grpc, httpAddress: http } = replica;
  const selection = new SelectionServiceClient(grpc, credentials.createInsecure());
  const relays = new RelayServiceClient(grpc, credentials.createInsecure());
  scope.teardown(() => {
    selection.close();
    relays.close();
  });
  return { replica, grpc, http, selection, relays, lines, ready, stop };
}

/** An embedded etcd with its own keyspace, registered relays, and one ready replica. */
export async function replicaScene(
  scope: Scope,
  relays: readonly Partial<Relay>[] = [{ id: 'r1' }, { id: 'r2' }, { id: 'r3' }],
  env: Readonly<Record<string, string>> = {},
) {
  const etcd = await startEmbeddedEtcd(scope);
  const client = connect(scope, etcd.endpoint);
  const keys = newKeyspace();
  for (const relay of relays) {
    await putRelay(client, keys, aRelay(relay));
  }
  const one = await openReplica(scope, etcd.endpoint, keys, env);
  await one.ready;
  return { etcd, client, keys, ...one };
}

/** Puts a load report into etcd like a relay node. */
export async function putLoad(client: Etcd3, keys: Keyspace, id: string, load: Partial<Load>): Promise<void> {
  const value = loadCodec.encode({ calls: 0, cpu: 0, packetRate: 0, atMs: Date.now(), ...load });
  await client.kv.put({ key: keys.loadOf('default', id), value });
}

/** The last overload that ts-proto generates, which is the one that type inference uses. */
type Unary<Request, Response> = (
  request: Request,
  metadata: Metadata,
  options: Partial<CallOptions>,
  callback: (error: ServiceError | null, response: Response) => void,
) => unknown;

/** Calls one unary method; rejects with the ServiceError. */
export function asks<Request, Response>(
  client: Client,
  method: Unary<Request, Response>,
  request: Request,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    method.call(client, request, new Metadata(), {}, (error, response) =>
      error ? reject(error) : resolve(response),
    );
  });
}

export const select = (client: SelectionServiceClient, request: Partial<SelectRequest>) =>
  asks<SelectRequest, SelectResponse>(client, client.select, SelectRequest.fromPartial(request));

export const move = (client: SelectionServiceClient, request: Partial<MoveRequest>) =>
  asks<MoveRequest, MoveResponse>(
    client,
    client.move,
    MoveRequest.fromPartial({ reason: 'a test', ...request }),
  );

export const lookup = (client: SelectionServiceClient, callId: string, current = false) =>
  asks<LookupRequest, LookupResponse>(client, client.lookup, { callId, viaBranch: '', set: '', current });

export const release = (client: SelectionServiceClient, callId: string, beginning = '') =>
  asks<ReleaseRequest, ReleaseResponse>(client, client.release, {
    callId,
    viaBranch: '',
    set: '',
    beginning,
  });

export const listRelays = (client: RelayServiceClient, set = '') =>
  asks<ListRelaysRequest, ListRelaysResponse>(client, client.listRelays, { set });

export const setIntent = (client: RelayServiceClient, request: Partial<SetIntentRequest>) =>
  asks<SetIntentRequest, SetIntentResponse>(client, client.setIntent, SetIntentRequest.fromPartial(request));

/** Resolves with the status of a call that fails. */
export async function failure(promise: Promise<unknown>): Promise<ServiceError> {
  const outcome = await promise.then(
    (value) => ({ value }),
    (error: ServiceError) => ({ error }),
  );
  if ('error' in outcome) {
    return outcome.error;
  }
  throw new Error(
    `no error, but ${JSON.stringify(outcome.value, (_, each) => (typeof each === 'bigint' ? `${each}` : each))}`,
  );
}
