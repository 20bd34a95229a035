import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Scope } from '../support/process.js';

export interface ConnectOptions {
  /** Loopback has 16 million addresses: a source of its own for each attacker. */
  readonly from?: string;
  /** False for a peer that never reads: what it is sent fills its window, and stays with the sender. */
  readonly reads?: boolean;
}

/** Many connections to one address, each of which behaves badly. They end with the scope. */
export class Attacker {
  readonly #target: { readonly host: string; readonly port: number };
  readonly #sockets = new Set<Socket>();
  opened = 0;
  refused = 0;

  constructor(scope: Scope, target: string) {
    const { hostname, port } = new URL(`tcp://${target}`);
    this.#target = { host: hostname, port: Number(port) };
    scope.teardown(() => this.leave());
  }

  /** Connections that the target has not closed. */
  get open(): number {
    return this.#sockets.size;
  }

  /** Resolves when connected, or refused: then undefined. */
  async connect({ from = '127.0.0.1', reads = true }: ConnectOptions = {}): Promise<Socket | undefined> {
    const socket = connect({ ...this.#target, localAddress: from });
    socket.on('error', () => {});
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    if (reads) {
      socket.resume();
    } else {
      socket.pause();
    }
    try {
      await Promise.race([once(socket, 'connect'), once(socket, 'close').then(() => Promise.reject())]);
      this.opened++;
      return socket;
    } catch {
      this.refused++;
      return undefined;
    }
  }

  /** Opens so many, as fast as the target takes them. */
  async connectMany(
    count: number,
    greet: (socket: Socket) => void = () => {},
    options: (i: number) => ConnectOptions = () => ({}),
  ): Promise<void> {
    let next = 0;
    const worker = async () => {
      while (next < count) {
        const socket = await this.connect(options(next++));
        if (socket) {
          greet(socket);
        }
      }
    };
    await Promise.all(Array.from({ length: 32 }, worker));
  }

  /** Ends all connections at once. */
  leave(): void {
    for (const socket of this.#sockets) {
      socket.resetAndDestroy();
    }
  }
}

/** Writes as fast as the target reads, until the connection is closed or the time is over. */
export async function flood(socket: Socket, next: () => Buffer, durationMs: number): Promise<void> {
  const over = new AbortController();
  const { signal } = over;
  const timer = setTimeout(() => over.abort(), durationMs);
  const stop = () => over.abort();
  socket.once('close', stop);
  while (!signal.aborted) {
    if (!socket.write(next())) {
      await once(socket, 'drain', { signal }).catch(() => undefined);
    }
    // The others of this process have their turn, good clients among them.
    await delay(2);
  }
  clearTimeout(timer);
  socket.off('close', stop);
}
