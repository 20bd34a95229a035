import type { Socket } from 'node:net';
import { Channel, type ChannelCredentials, type ChannelOptions } from '@grpc/grpc-js';
import { destroyIfSilent, SocketTellingCredentials } from '../runtime/channel-sockets.js';

/** The recommended settings of a gRPC channel to Holdfast, each with its reason. */
export const channelOptions: ChannelOptions = {
  // gRPC's default is to use one address of a name and leave the other replicas idle.
  'grpc.service_config': JSON.stringify({ loadBalancingConfig: [{ round_robin: {} }] }),
  // A replica whose machine has died sends no FIN: without pings TCP needs minutes to notice.
  'grpc.keepalive_time_ms': 1000,
  'grpc.keepalive_timeout_ms': 1000,
  // Notice it before the next call does.
  'grpc.keepalive_permit_without_calls': 1,
  // A replica that is back gets its share of the calls within this time; the default is two minutes.
  'grpc.max_reconnect_backoff_ms': 5000,
};

/**
 * A channel whose connections end when it is closed, at once and whatever they are doing: grpc-js lets calls go on, and waits
 * for a server that does not answer for ever.
 */
export class ClosableChannel extends Channel {
  readonly #connections: Connections;

  constructor(target: string, credentials: ChannelCredentials) {
    const connections = new Connections();
    super(
      target,
      new SocketTellingCredentials(credentials, (socket) => connections.add(socket)),
      channelOptions,
    );
    this.#connections = connections;
  }

  get isClosed(): boolean {
    return this.#connections.areClosed;
  }

  override close(): void {
    // Whoever hears that a call has failed must know why.
    this.#connections.close();
    super.close();
  }
}

class Connections {
  readonly #open = new Set<Socket>();
  areClosed = false;

  add(socket: Socket): void {
    // It was connecting when the channel was closed.
    if (this.areClosed) {
      socket.destroy();
      return;
    }
    destroyIfSilent(socket);
    this.#open.add(socket);
    socket.once('close', () => this.#open.delete(socket));
  }

  close(): void {
    this.areClosed = true;
    for (const socket of this.#open) {
      socket.destroy();
    }
  }
}
