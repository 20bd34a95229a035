import { type ClientReadableStream, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import {
  type ListBindingsResponse,
  type ListRelaysResponse,
  RelayServiceClient,
  SetIntentRequest,
  type SetIntentResponse,
  type WatchRelaysResponse,
} from '../../proto/generated/holdfast/v1/relay.js';
import {
  LookupRequest,
  type LookupResponse,
  MoveRequest,
  type MoveResponse,
  ReleaseRequest,
  type ReleaseResponse,
  SelectionServiceClient,
  SelectRequest,
  type SelectResponse,
} from '../../proto/generated/holdfast/v1/selection.js';
import type { TlsMaterial } from '../runtime/tls-material.js';
import { CommandError, exitCodeOf, exits } from './exit.js';
import { diagnose } from './trust.js';

const deadlineMs = 5000;

/** Fields that are not given, or undefined, are sent as their defaults. */
type Fields<T> = { readonly [K in keyof T]?: T[K] | undefined };
type Callback<T> = (error: ServiceError | null, response: T) => void;

/** A client of one replica. Each method rejects with a CommandError that says what the service said. */
export class HoldfastClient {
  readonly #selection: SelectionServiceClient;
  readonly #relays: RelayServiceClient;

  constructor(
    readonly server: string,
    private readonly trust?: TlsMaterial,
  ) {
    const { ca, key, cert } = trust ?? {};
    const security = trust ? credentials.createSsl(ca, key, cert) : credentials.createInsecure();
    this.#selection = new SelectionServiceClient(server, security);
    this.#relays = new RelayServiceClient(server, security);
  }

  select(request: Fields<SelectRequest>): Promise<SelectResponse> {
    return this.#ask((metadata, options, callback) =>
      this.#selection.select(
        SelectRequest.fromPartial(request as Partial<SelectRequest>),
        metadata,
        options,
        callback,
      ),
    );
  }

  lookup(request: Fields<LookupRequest>): Promise<LookupResponse> {
    return this.#ask((metadata, options, callback) =>
      this.#selection.lookup(
        LookupRequest.fromPartial(request as Partial<LookupRequest>),
        metadata,
        options,
        callback,
      ),
    );
  }

  move(request: Fields<MoveRequest>): Promise<MoveResponse> {
    return this.#ask((metadata, options, callback) =>
      this.#selection.move(
        MoveRequest.fromPartial(request as Partial<MoveRequest>),
        metadata,
        options,
        callback,
      ),
    );
  }

  release(request: Fields<ReleaseRequest>): Promise<ReleaseResponse> {
    return this.#ask((metadata, options, callback) =>
      this.#selection.release(
        ReleaseRequest.fromPartial(request as Partial<ReleaseRequest>),
        metadata,
        options,
        callback,
      ),
    );
  }

  listRelays(set: string): Promise<ListRelaysResponse> {
    return this.#ask((metadata, options, callback) =>
      this.#relays.listRelays({ set }, metadata, options, callback),
    );
  }

  setIntent(request: Fields<SetIntentRequest>): Promise<SetIntentResponse> {
    return this.#ask((metadata, options, callback) =>
      this.#relays.setIntent(
        SetIntentRequest.fromPartial(request as Partial<SetIntentRequest>),
        metadata,
        options,
        callback,
      ),
    );
  }

  /** Snapshot, then changes, until the service ends it or the loop is left. */
  watchRelays(set: string): AsyncGenerator<WatchRelaysResponse> {
    return this.#each(this.#relays.watchRelays({ set }));
  }

  listBindings(set: string, relayId: string): AsyncGenerator<ListBindingsResponse> {
    return this.#each(this.#relays.listBindings({ set, relayId }));
  }

  close(): void {
    this.#selection.close();
    this.#relays.close();
  }

  #ask<T>(
    send: (metadata: Metadata, options: { deadline: number }, callback: Callback<T>) => unknown,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      send(new Metadata(), { deadline: Date.now() + deadlineMs }, (error, response) => {
        if (error) {
          void this.#explain(error).then(reject);
        } else {
          resolve(response);
        }
      });
    });
  }

  async *#each<T>(stream: ClientReadableStream<T>): AsyncGenerator<T> {
    try {
      yield* stream as AsyncIterable<T>;
    } catch (error) {
      throw await this.#explain(error as ServiceError);
    } finally {
      stream.cancel();
    }
  }

  async #explain(error: ServiceError): Promise<CommandError> {
    const invalidateAll =
      error.code === status.UNAVAILABLE ? await diagnose(this.server, this.trust) : undefined;
    if (invalidateAll !== undefined) {
      return new CommandError(invalidateAll, exits.failed);
    }
    return new CommandError(this.#meaning(error), exitCodeOf(error.code));
  }

  #meaning({ code, details }: ServiceError): string {
    const help = '(--server or HOLDFAST_SERVER names another)';
    if (code === status.UNAVAILABLE && /^No connection|^Connection dropped/.test(details)) {
      return `no Holdfast replica answers at ${this.server}: is it running? ${help}`;
    }
    if (code === status.UNAVAILABLE && details.startsWith('Name resolution failed')) {
      return `the host of ${this.server} has no address: is the name right? ${help}`;
    }
    if (code === status.UNIMPLEMENTED || details.startsWith('Received HTTP status code')) {
      return `what answers at ${this.server} is not a Holdfast replica ${help}`;
    }
    if (code === status.DEADLINE_EXCEEDED) {
      return `the replica at ${this.server} did not answer within ${deadlineMs / 1000} s ${help}`;
    }
    return `${status[code] ?? code}: ${details}`;
  }
}
