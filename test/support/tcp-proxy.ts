import type { AddressInfo } from 'node:net';
import { createServer, connect as dial, type Server, type Socket } from 'node:net';
import type { Scope } from './process.js';

type Direction = 'requests' | 'answers';

/** Stands between a client and a server and does to their connections what networks do. */
export class TcpProxy {
  readonly #server: Server;
  readonly #target: { host: string; port: number };
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  readonly #thawing = new Set<() => void>();
  #frozen: readonly Direction[] = [];
  #delayMs = 0;
  #refuses = false;
  /** Connections that were let through since the start. */
  accepted = 0;

  private constructor(target: string) {
    const { hostname, port } = new URL(`tcp://${target}`);
    this.#target = { host: hostname, port: Number(port) };
    this.#server = createServer((client) => this.#join(client));
  }

  /** @param target host:port of the server */
  static async start(scope: Scope, target: string): Promise<TcpProxy> {
    const proxy = new TcpProxy(target);
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once('error', reject);
      proxy.#server.listen(0, '127.0.0.1', resolve);
    });
    scope.teardown(() => proxy.#stop());
    return proxy;
  }

  /** Where clients connect, host:port. */
  get endpoint(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Breaks all connections; new ones are let through. */
  drop(): void {
    for (const pair of this.#pairs) {
      for (const socket of pair) {
        socket.resetAndDestroy();
      }
    }
  }

  /** Breaks all connections and lets no new one through. */
  cut(): void {
    this.#refuses = true;
    this.drop();
  }

  /** Half-open: connections stay, and nothing goes through them, neither bytes nor their end. */
  freeze(...directions: readonly Direction[]): void {
    this.#frozen = directions.length > 0 ? directions : ['requests', 'answers'];
  }

  /** Each byte arrives this much later. */
  delay(ms: number): void {
    this.#delayMs = ms;
  }

  /** Undoes all of the above; what was held back goes through. */
  restore(): void {
    this.#refuses = false;
    this.#frozen = [];
    this.#delayMs = 0;
    for (const thaw of this.#thawing) {
      thaw();
    }
    this.#thawing.clear();
  }

  #join(client: Socket): void {
    if (this.#refuses) {
      client.on('error', () => {});
      client.resetAndDestroy();
      return;
    }
    this.accepted++;
    const server = dial({ ...this.#target, noDelay: true });
    client.setNoDelay(true);
    const pair = [client, server] as const;
    this.#pairs.add(pair);
    for (const socket of pair) {
      // The other side is told by its own end or reset.
      socket.on('error', () => {});
      socket.once('close', () => this.#pairs.delete(pair));
    }
    this.#pump('requests', client, server);
    this.#pump('answers', server, client);
  }

  #pump(direction: Direction, from: Socket, to: Socket): void {
    let before = Promise.resolve();
    const inOrder = (forward: () => void) => {
      const dueAtMs = performance.now() + this.#delayMs;
      before = before.then(async () => {
        await this.#passable(direction, dueAtMs);
        if (!to.destroyed) {
          forward();
        }
      });
    };
    from.on('data', (chunk) => inOrder(() => to.write(chunk)));
    from.on('end', () => inOrder(() => to.end()));
    from.once('close', () => inOrder(() => to.destroy()));
  }

  async #passable(direction: Direction, dueAtMs: number): Promise<void> {
    const waitMs = dueAtMs - performance.now();
    if (waitMs > 0) {
      await new Promise((resolve) => setTimeout(resolve, waitMs));
    }
    while (this.#frozen.includes(direction)) {
      await new Promise<void>((resolve) => this.#thawing.add(resolve));
    }
  }

  #stop(): Promise<void> {
    this.restore();
    this.cut();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }
}
