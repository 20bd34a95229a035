import { type ChannelCredentials, connectivityState } from '@grpc/grpc-js';
import { RelayServiceClient } from '../../proto/generated/holdfast/v1/relay.js';
import { SelectionServiceClient } from '../../proto/generated/holdfast/v1/selection.js';
import { channelOptions } from './channel.js';

/** One gRPC target, with a channel that both services share. */
export class Server {
  readonly selection: SelectionServiceClient;
  readonly relays: RelayServiceClient;

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

  get length(): number {
    return this.#all.length;
  }

  /** The next one in turn that is not in `tried`, if there is one; connected ones first. */
  next(tried: ReadonlySet<Server>): Server {
    const turn = this.#turn++ % this.#all.length;
    const inTurn = [...this.#all.slice(turn), ...this.#all.slice(0, turn)];
    const ready = new Set(inTurn.filter((server) => server.isReady));
    const rank = (server: Server) => (tried.has(server) ? 2 : 0) + (ready.has(server) ? 0 : 1);
    return inTurn.reduce((best, each) => (rank(each) < rank(best) ? each : best));
  }

  close(): void {
    for (const server of this.#all) {
      server.close();
    }
  }
}
