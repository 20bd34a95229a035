import { type ChannelCredentials, connectivityState, type StatusObject, status } from '@grpc/grpc-js';
import { RelayServiceClient } from '../../proto/generated/holdfast/v1/relay.js';
import { SelectionServiceClient } from '../../proto/generated/holdfast/v1/selection.js';
import { ClosableChannel } from './channel.js';
import { RetryBudget } from './retry-budget.js';
import { HoldfastRpcError } from './rpc-error.js';

const closed = 'this client is closed';

/** One gRPC target, with a channel that both services share. */
export class Server {
  readonly selection: SelectionServiceClient;
  readonly relays: RelayServiceClient;
  readonly retries = new RetryBudget();
  readonly #channel: ClosableChannel;

  constructor(
    readonly target: string,
    credentials: ChannelCredentials,
  ) {
    this.#channel = new ClosableChannel(target, credentials);
    const options = { channelOverride: this.#channel };
    this.selection = new SelectionServiceClient(target, credentials, options);
    this.relays = new RelayServiceClient(target, credentials, options);
  }

  /** Whether it has a connection. Asking makes it connect. */
  get isReady(): boolean {
    return this.#channel.getConnectivityState(true) === connectivityState.READY;
  }

  /** What a request that ended like this fails with: CANCELLED if that is because the client was closed. */
  errorOf(ended: StatusObject): HoldfastRpcError {
    const isOurs = this.#channel.isClosed;
    return HoldfastRpcError.fromStatus(
      isOurs ? { ...ended, code: status.CANCELLED, details: closed } : ended,
      this.target,
    );
  }

  close(): void {
    this.#channel.close();
  }
}

/** Servers that take turns. */
export class Servers {
  readonly #all: readonly Server[];
  readonly #closing = new AbortController();
  #turn = 0;

  constructor(targets: readonly string[], credentials: ChannelCredentials) {
    if (targets.length === 0) {
      throw new TypeError('at least one server is required');
    }
    this.#all = targets.map((target) => new Server(target, credentials));
  }

  /** Aborts when they are closed. */
  get closing(): AbortSignal {
    return this.#closing.signal;
  }

  /** Whether any takes retries. */
  get allowRetry(): boolean {
    return this.#all.some(({ retries }) => retries.allowRetry);
  }

  /** The next one in turn; connected ones first. @throws HoldfastRpcError CANCELLED once they are closed */
  next(): Server {
    return this.#first(this.#all) as Server;
  }

  /** The next one in turn for a retry; connected ones first. @throws HoldfastRpcError CANCELLED once they are closed */
  untried(tried: ReadonlySet<Server>): Server | undefined {
    return this.#first(this.#all.filter((server) => server.retries.allowRetry && !tried.has(server)));
  }

  #first(among: readonly Server[]): Server | undefined {
    // A closed channel that is asked would connect again.
    if (this.closing.aborted) {
      throw new HoldfastRpcError(closed, { code: status.CANCELLED });
    }
    const turn = this.#turn++ % among.length;
    const inTurn = [...among.slice(turn), ...among.slice(0, turn)];
    // All are asked, for that makes them connect.
    const ready = inTurn.filter((server) => server.isReady);
    return ready[0] ?? inTurn[0];
  }

  close(): void {
    this.#closing.abort();
    for (const server of this.#all) {
      server.close();
    }
  }
}
