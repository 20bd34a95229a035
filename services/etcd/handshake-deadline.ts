import { Channel, type ChannelCredentials, type ChannelInterface, type ChannelOptions } from '@grpc/grpc-js';
import { destroyIfSilent, SocketTellingCredentials } from '../runtime/channel-sockets.js';

/** Opens the channel of a gRPC client, to `HOST:PORT`. */
export type ChannelFactory = (
  address: string,
  credentials: ChannelCredentials,
  options: ChannelOptions,
) => ChannelInterface;

/**
 * For the options of a gRPC client: channels that give up a connection whose server says nothing at all. Every call to a
 * suspended member would cost a file descriptor for good.
 */
export function channelWithHandshakeDeadline(
  address: string,
  credentials: ChannelCredentials,
  options: ChannelOptions,
): Channel {
  return new Channel(address, new SocketTellingCredentials(credentials, destroyIfSilent), options);
}
