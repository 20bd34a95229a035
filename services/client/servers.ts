import { type ChannelCredentials, connectivityState } from '@grpc/grpc-js';
import { RelayServiceClient } from '../../proto/generated/holdfast/v1/relay.js';
import { SelectionServiceClient } from '../../proto/generated/holdfast/v1/selection.js';
import { channelOptions } from './channel.js';
import { RetryBudget } from './retry-budget.js';

/** One gRPC target, with a channel that both services share. */
export class Server {
  readonly selection: SelectionServiceClient;
  readonly relays: RelayServiceClient;
  readonly retries = new RetryBudget();

  constructor(
    readonly target: string,
    credentials: ChannelCredentials,
  ) {
    this.selection = new SelectionServiceClient(target, credentials, channelOptions);
    this.relays = new RelayServiceClient(target, credentials, {
      channelOverride: this.selection.getChannel(),
    });
  }

  /** Whether it has a connection. Asking makes it connect. */
  get isReady(): boolean {
    return this.selection.getChannel().getConnectivityState(true) === connectivityState.READY;
  }

  close(): void {
    this.selection.close();
  }
}

/** Servers that take turns. */
export class Servers {
  readonly #all: readonly Server[];
  #turn = 0;

  constructor(targets: readonly string[], credentials: ChannelCredentials) {
    if (targets.length === 0) {
      throw new TypeError('at least one server is required');
    }
    this.#all = targets.map((target) => new Server(target, credentials));
  }

  /** Whether any takes retries. */
  get allowRetry(): boolean {
    return this.#all.some(({ retries }) => retries.allowRetry);
  }

  /** The next one in turn; connected ones first. */
  next(): Server {
    return this.#first(this.#all) as Server;
  }

  /** The next one in turn for a retry; connected ones first. */
  untried(tried: ReadonlySet<Server>): Server | undefined {
    return this.#first(this.#all.filter((server) => server.retries.allowRetry && !tried.has(server)));
  }

  #first(among: readonly Server[]): Server | undefined {
    const turn = this.#turn++ % among.length;
    const inTurn = [...among.slice(turn), ...among.slice(0, turn)];
    // All are asked, for that makes them connect.
    const ready = inTurn.filter((server) => server.isReady);
    return ready[0] ?? inTurn[0];
  }

  close(): void {
    for (const server of this.#all) {
      server.close();
    }
  }
}
