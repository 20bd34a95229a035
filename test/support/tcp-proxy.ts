import type { AddressInfo } from 'node:net';
import { createServer, connect as dial, type Server, type Socket } from 'node:net';
import type { Scope } from './process.js';

type Direction = 'requests' | 'answers';

/** A proxy between a client and a server that makes connections fail like networks do. */
export class TcpProxy {
  readonly #server: Server;
  #target: { host: string; port: number };
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  readonly #thawing = new Set<() => void>();
  #frozen: readonly Direction[] = [];
  #delayMs = 0;
  #refuses = false;
  #isDetached = false;
  /** Connections accepted since the start. */
  accepted = 0;

  private constructor(target: string) {
    this.#target = parse(target);
    this.#server = createServer((client) => this.#join(client));
  }

  /** @param target host:port of the server @param listen where clients connect; port 0 is a free one */
  static async start(
    scope: Scope,
    target: string,
    listen = { host: '127.0.0.1', port: 0 },
  ): Promise<TcpProxy> {
    const proxy = new TcpProxy(target);
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once('error', reject);
      proxy.#server.listen(listen.port, listen.host, resolve);
    });
    scope.teardown(() => proxy.#stop());
    return proxy;
  }

  /** Where clients connect, host:port. */
  get endpoint(): string {
    const { address, port } = this.#server.address() as AddressInfo;
    return `${address}:${port}`;
  }

  /** Later connections go to this server. */
  redirect(target: string): void {
    this.#target = parse(target);
  }

  /** Resets all connections; new ones are accepted. */
  drop(): void {
    for (const pair of this.#pairs) {
      for (const socket of pair) {
        socket.resetAndDestroy();
      }
    }
  }

  /** Resets all connections, and new ones too. */
  cut(): void {
    this.#refuses = true;
    this.drop();
  }

  /** Resets all connections, and new ones until `attach`, whatever else is done and undone meanwhile. */
  detach(): void {
    this.#isDetached = true;
    this.drop();
  }

  attach(): void {
    this.#isDetached = false;
  }

  /** Half-open: connections stay open and carry nothing, neither bytes nor their end. */
  freeze(...directions: readonly Direction[]): void {
    this.#frozen = directions.length > 0 ? directions : ['requests', 'answers'];
  }

  /** Delays each byte. */
  delay(ms: number): void {
    this.#delayMs = ms;
  }

  /** Undoes all of the above and delivers what was held back. */
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
    if (this.#refuses || this.#isDetached) {
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
      // The end or reset of this side is passed on to the other one.
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

function parse(target: string): { host: string; port: number } {
  const { hostname, port } = new URL(`tcp://${target}`);
  return { host: hostname, port: Number(port) };
}
