import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { Scope } from './process.js';

type Direction = 'requests' | 'answers';

const maxClients = 1000;

/** A proxy before a UDP server that loses datagrams. Each client has its own socket to the server. */
export class UdpProxy {
  readonly #front = createSocket('udp4');
  readonly #clients = new Map<string, Socket>();
  #lost: readonly Direction[] = [];

  private constructor() {}

  /** @param target port of the server on 127.0.0.1 */
  static async start(scope: Scope, target: number): Promise<UdpProxy> {
    const proxy = new UdpProxy();
    proxy.#front.on('message', (datagram, { address, port }) => {
      const onwards = proxy.#clientOf(address, port);
      if (!proxy.#lost.includes('requests')) {
        onwards.send(datagram, target, '127.0.0.1');
      }
    });
    proxy.#front.bind(0, '127.0.0.1');
    await once(proxy.#front, 'listening');
    scope.teardown(() => proxy.#stop());
    return proxy;
  }

  /** Where clients send to, on 127.0.0.1. */
  get port(): number {
    return this.#front.address().port;
  }

  lose(...directions: readonly Direction[]): void {
    this.#lost = directions;
  }

  restore(): void {
    this.#lost = [];
  }

  #clientOf(address: string, port: number): Socket {
    const name = `${address}:${port}`;
    const known = this.#clients.get(name);
    if (known) {
      return known;
    }
    const socket = createSocket('udp4');
    socket.on('message', (datagram) => {
      if (!this.#lost.includes('answers')) {
        this.#front.send(datagram, port, address);
      }
    });
    // The server is not there: whoever asks gets no answer.
    socket.on('error', () => {});
    this.#clients.set(name, socket);
    const [oldest] = this.#clients;
    if (oldest && this.#clients.size > maxClients) {
      this.#clients.delete(oldest[0]);
      oldest[1].close();
    }
    return socket;
  }

  #stop(): void {
    this.#front.close();
    for (const socket of this.#clients.values()) {
      socket.close();
    }
  }
}
