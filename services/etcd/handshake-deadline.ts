import type { Socket } from 'node:net';
import { Channel, ChannelCredentials, type ChannelInterface, type ChannelOptions } from '@grpc/grpc-js';

type Connector = ReturnType<ChannelCredentials['_createSecureConnector']>;
type ConnectorArguments = Parameters<ChannelCredentials['_createSecureConnector']>;

/** Opens the channel of a gRPC client, to `HOST:PORT`. */
export type ChannelFactory = (
  address: string,
  credentials: ChannelCredentials,
  options: ChannelOptions,
) => ChannelInterface;

/** How long a server may accept a connection and say nothing, ms. */
const handshakeTimeoutMs = 5000;

/**
 * For the options of a gRPC client: channels that give up a connection whose server says nothing at all, as a
 * suspended etcd does. grpc-js waits for its first HTTP/2 frame for ever, and leaves the socket open even when the
 * channel is closed: every call to such a member would cost a file descriptor for good.
 */
export function channelWithHandshakeDeadline(
  address: string,
  credentials: ChannelCredentials,
  options: ChannelOptions,
): Channel {
  return new Channel(address, new HandshakeDeadline(credentials), options);
}

/** Credentials are where grpc-js hands out the sockets of a channel. */
class HandshakeDeadline extends ChannelCredentials {
  readonly #inner: ChannelCredentials;

  constructor(inner: ChannelCredentials) {
    super();
    this.#inner = inner;
  }

  override _isSecure(): boolean {
    return this.#inner._isSecure();
  }

  override _equals(other: ChannelCredentials): boolean {
    return other instanceof HandshakeDeadline && this.#inner._equals(other.#inner);
  }

  override _createSecureConnector(...args: ConnectorArguments): Connector {
    const connector = this.#inner._createSecureConnector(...args);
    return {
      connect(socket) {
        destroyIfSilent(socket);
        return connector.connect(socket);
      },
      waitForReady: () => connector.waitForReady(),
      getCallCredentials: () => connector.getCallCredentials(),
      destroy: () => connector.destroy(),
    };
  }
}

function destroyIfSilent(socket: Socket): void {
  socket.setTimeout(handshakeTimeoutMs);
  socket.once('timeout', () => {
    socket.setTimeout(0);
    if (socket.bytesRead === 0) {
      socket.destroy();
    }
  });
}
