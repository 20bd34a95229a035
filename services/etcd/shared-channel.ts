import type { Channel } from '@grpc/grpc-js';

/**
 * Channels that are one: each is closed alone, and the connection with the last of them. etcd3 has a client for each service
 * of etcd, and closes them all after some errors, those that are connecting a second later: when others are in use already.
 */
export function sharedChannel<T extends unknown[]>(open: (...args: T) => Channel): (...args: T) => Channel {
  let current: { readonly channel: Channel; users: number } | undefined;
  return (...args) => {
    current ??= { channel: open(...args), users: 0 };
    const shared = current;
    shared.users++;
    const own: Channel = Object.create(shared.channel);
    let isClosed = false;
    own.close = () => {
      if (isClosed) {
        return;
      }
      isClosed = true;
      shared.users--;
      if (shared.users === 0) {
        shared.channel.close();
        current = current === shared ? undefined : current;
      }
    };
    return own;
  };
}
