import type { Socket } from 'node:net';
import { ChannelCredentials } from '@grpc/grpc-js';

type Connector = ReturnType<ChannelCredentials['_createSecureConnector']>;
type ConnectorArguments = Parameters<ChannelCredentials['_createSecureConnector']>;

/** How long a server may accept a connection and say nothing, ms. */
const handshakeTimeoutMs = 5000;

/**
 * Credentials are where grpc-js hands out the sockets of a channel: these tell of each one that is connected. Channels share
 * connections only if they tell the same function.
 */
export class SocketTellingCredentials extends ChannelCredentials {
  readonly #inner: ChannelCredentials;
  readonly #onSocket: (socket: Socket) => void;

  constructor(inner: ChannelCredentials, onSocket: (socket: Socket) => void) {
    super();
    this.#inner = inner;
    this.#onSocket = onSocket;
  }

  override _isSecure(): boolean {
    return this.#inner._isSecure();
  }

  override _equals(other: ChannelCredentials): boolean {
    return (
      other instanceof SocketTellingCredentials &&
      other.#onSocket === this.#onSocket &&
      this.#inner._equals(other.#inner)
    );
  }

  override _createSecureConnector(...args: ConnectorArguments): Connector {
    const connector = this.#inner._createSecureConnector(...args);
    return {
      connect: (socket) => {
        this.#onSocket(socket);
        return connector.connect(socket);
      },
      waitForReady: () => connector.waitForReady(),
      getCallCredentials: () => connector.getCallCredentials(),
      destroy: () => connector.destroy(),
    };
  }
}

/**
 * Gives up a connection whose server says nothing at all, as a suspended process does. grpc-js waits for its first HTTP/2
 * frame for ever, and leaves the socket open even when the channel is closed.
 */
export function destroyIfSilent(socket: Socket): void {
  socket.setTimeout(handshakeTimeoutMs);
  socket.once('timeout', () => {
    socket.setTimeout(0);
    if (socket.bytesRead === 0) {
      socket.destroy();
    }
  });
}
