import type { ChannelInterface } from '@grpc/grpc-js';

/**
 * Channels that are one: each is closed alone, and the connection with the last of them. etcd3 has a client for each service
 * of etcd, and closes them all after some errors, those that are connecting a second later: when others are in use already.
 */
export function sharedChannel<T extends unknown[]>(
  open: (...args: T) => ChannelInterface,
): (...args: T) => ChannelInterface {
  let current: Shared | undefined;
  return (...args) => {
    if (!current || current.users === 0) {
      current = { channel: open(...args), users: 0 };
    }
    return new SharedChannel(current);
  };
}

interface Shared {
  readonly channel: ChannelInterface;
  users: number;
}

class SharedChannel implements ChannelInterface {
  readonly #shared: Shared;
  #isClosed = false;

  constructor(shared: Shared) {
    this.#shared = shared;
    shared.users++;
  }

  close(): void {
    if (this.#isClosed) {
      return;
    }
    this.#isClosed = true;
    this.#shared.users--;
    if (this.#shared.users === 0) {
      this.#shared.channel.close();
    }
  }

  getTarget(): string {
    return this.#shared.channel.getTarget();
  }

  getConnectivityState(...args: Parameters<ChannelInterface['getConnectivityState']>) {
    return this.#shared.channel.getConnectivityState(...args);
  }

  watchConnectivityState(...args: Parameters<ChannelInterface['watchConnectivityState']>): void {
    this.#shared.channel.watchConnectivityState(...args);
  }

  getChannelzRef() {
    return this.#shared.channel.getChannelzRef();
  }

  createCall(...args: Parameters<ChannelInterface['createCall']>) {
    return this.#shared.channel.createCall(...args);
  }
}
