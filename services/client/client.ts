import {
  type ChannelCredentials,
  type ClientReadableStream,
  credentials as channelCredentials,
  Metadata,
  type ServiceError,
} from '@grpc/grpc-js';
import {
  type GetStatusResponse,
  type ListBindingsResponse,
  type ListRelaysResponse,
  SetIntentRequest,
  type SetIntentResponse,
  WatchEventsRequest,
  type WatchEventsResponse,
  type WatchRelaysResponse,
} from '../../proto/generated/holdfast/v1/relay.js';
import {
  LookupRequest,
  type LookupResponse,
  type MoveRequest,
  type MoveResponse,
  ReleaseRequest,
  type ReleaseResponse,
  type SelectRequest,
  type SelectResponse,
} from '../../proto/generated/holdfast/v1/selection.js';
import { completeMove, completeSelect, type Fields } from './requests.js';
import { Retry } from './retry.js';
import { SelectStream } from './select-stream.js';
import { type Server, Servers } from './servers.js';

export interface HoldfastClientOptions {
  /** TLS, as `credentials.createSsl(ca, key, cert)`; without it connections are not encrypted. */
  readonly credentials?: ChannelCredentials;
  /** After this long an attempt fails with DEADLINE_EXCEEDED, ms; 500 by default. */
  readonly attemptTimeoutMs?: number;
  /** Most attempts of one request; 5 by default. */
  readonly attempts?: number;
}

type Callback<T> = (error: ServiceError | null, response: T) => void;
type Send<T> = (
  server: Server,
  metadata: Metadata,
  options: { readonly deadline: number },
  callback: Callback<T>,
) => unknown;

/**
 * A client of the selection service. After UNAVAILABLE or DEADLINE_EXCEEDED it tries the next server; requests keep their
 * `requestId` across attempts, so that a repeated one has the effect of one. Everything that fails fails with a
 * `HoldfastRpcError`.
 */
export class HoldfastClient {
  readonly #servers: Servers;
  readonly #retry: Retry;
  readonly #attemptTimeoutMs: number;
  /** The gRPC targets that it was made with. */
  readonly targets: readonly string[];

  /** @param targets one or more gRPC targets, such as `192.0.2.5:7400` or `dns:///holdfast-headless:7400` */
  constructor(
    targets: string | readonly string[],
    {
      credentials = channelCredentials.createInsecure(),
      attemptTimeoutMs = 500,
      attempts = 5,
    }: HoldfastClientOptions = {},
  ) {
    this.targets = [targets].flat();
    this.#servers = new Servers(this.targets, credentials);
    this.#retry = new Retry(this.#servers, attempts);
    this.#attemptTimeoutMs = attemptTimeoutMs;
  }

  /** The relay of a call, which is bound if it is not bound yet: for each INVITE and re-INVITE. */
  select(request: Fields<SelectRequest>): Promise<SelectResponse> {
    const message = completeSelect(request);
    return this.#call(({ selection }, ...rest) => selection.select(message, ...rest));
  }

  /** `select` over long-lived streams, for many requests per second. */
  selectStream(): SelectStream {
    return new SelectStream(this.#retry, this.#attemptTimeoutMs);
  }

  /** The relay of a call, without any change: for a BYE. NOT_FOUND if the call is not bound. */
  lookup(request: Fields<LookupRequest>): Promise<LookupResponse> {
    const message = LookupRequest.fromPartial(request as Partial<LookupRequest>);
    return this.#call(({ selection }, ...rest) => selection.lookup(message, ...rest));
  }

  /** Binds a call to another relay: when its relay did not answer the first offer. */
  move(request: Fields<MoveRequest>): Promise<MoveResponse> {
    const message = completeMove(request);
    return this.#call(({ selection }, ...rest) => selection.move(message, ...rest));
  }

  /** The call has ended. */
  release(request: Fields<ReleaseRequest>): Promise<ReleaseResponse> {
    const message = ReleaseRequest.fromPartial(request as Partial<ReleaseRequest>);
    return this.#call(({ selection }, ...rest) => selection.release(message, ...rest));
  }

  /** The relays that are registered now. @param set empty for all sets */
  listRelays(set = ''): Promise<ListRelaysResponse> {
    return this.#call(({ relays }, ...rest) => relays.listRelays({ set }, ...rest));
  }

  /** How one of the servers is, and what it sees wrong. */
  getStatus(): Promise<GetStatusResponse> {
    return this.#call(({ relays }, ...rest) => relays.getStatus({}, ...rest));
  }

  /** Drains, disables or reactivates a relay, or overrides its weight. */
  setIntent(request: Fields<SetIntentRequest>): Promise<SetIntentResponse> {
    const message = SetIntentRequest.fromPartial(request as Partial<SetIntentRequest>);
    return this.#call(({ relays }, ...rest) => relays.setIntent(message, ...rest));
  }

  /** A snapshot of the relays, then their changes, until the server ends it or the loop is left. @param set empty for all sets */
  watchRelays(set = ''): AsyncGenerator<WatchRelaysResponse> {
    return this.#stream(({ relays }) => relays.watchRelays({ set }));
  }

  /**
   * What has happened at one of the servers, oldest first, and on request what happens, until the server ends it or the loop is
   * left. Each server tells what it has seen itself.
   */
  watchEvents(request: Fields<WatchEventsRequest>): AsyncGenerator<WatchEventsResponse> {
    const message = WatchEventsRequest.fromPartial(request as Partial<WatchEventsRequest>);
    return this.#stream(({ relays }) => relays.watchEvents(message));
  }

  /** The bindings of one relay. */
  listBindings(set: string, relayId: string): AsyncGenerator<ListBindingsResponse> {
    return this.#stream(({ relays }) => relays.listBindings({ set, relayId }));
  }

  /** Closes the connections, for good. Requests in progress and later ones fail with CANCELLED. */
  close(): void {
    this.#servers.close();
  }

  #call<T>(send: Send<T>): Promise<T> {
    return this.#retry.run(
      (server) =>
        new Promise<T>((resolve, reject) => {
          const deadline = Date.now() + this.#attemptTimeoutMs;
          send(server, new Metadata(), { deadline }, (error, response) => {
            if (error) {
              reject(server.errorOf(error));
            } else {
              resolve(response);
            }
          });
        }),
    );
  }

  /** Tries servers until one has sent its first message; what happens to the stream after that ends it. */
  async *#stream<T>(open: (server: Server) => ClientReadableStream<T>): AsyncGenerator<T> {
    const [first, rest] = await this.#retry.run(async (server) => {
      const messages = read(open(server), server);
      return [await messages.next(), messages] as const;
    });
    try {
      if (!first.done) {
        yield first.value;
        yield* rest;
      }
    } finally {
      await rest.return(undefined);
    }
  }
}

async function* read<T>(stream: ClientReadableStream<T>, server: Server): AsyncGenerator<T, undefined> {
  try {
    yield* stream as AsyncIterable<T>;
  } catch (error) {
    throw server.errorOf(error as ServiceError);
  } finally {
    stream.cancel();
  }
}
