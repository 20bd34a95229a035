import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';
import { type Address, formatAddress, listenError } from './address.js';

export interface HttpDeps {
  readonly listen: Address;
  readonly metrics: Registry;
  /** Why the process is not ready, or undefined if it is. */
  readonly notReady: () => string | undefined;
  /** What is wrong while the process is ready all the same, or undefined. */
  readonly caveat?: () => string | undefined;
}

/**
 * What operators and Kubernetes ask: `/metrics` (Prometheus text), `/livez` (200 while the event loop turns) and
 * `/readyz` (200, perhaps with a caveat, or 503 with the reason).
 */
export class HttpServer {
  readonly #server: Server;
  readonly #listen: Address;

  constructor({ listen, metrics, notReady, caveat }: HttpDeps) {
    this.#listen = listen;
    this.#server = createServer(async (request, response) => {
      const answer = (status: number, text: string, type = 'text/plain; charset=utf-8') =>
        response.writeHead(status, { 'content-type': type }).end(text);
      if (request.method !== 'GET' && request.method !== 'HEAD') {
        response.setHeader('allow', 'GET, HEAD');
        return answer(405, 'GET only\n');
      }
      switch (request.url?.split('?')[0]) {
        case '/livez':
          return answer(200, 'ok\n');
        case '/readyz': {
          const reason = notReady();
          if (reason !== undefined) {
            return answer(503, `not ready: ${reason}\n`);
          }
          const trouble = caveat?.();
          return answer(200, trouble === undefined ? 'ok\n' : `ok, but ${trouble}\n`);
        }
        case '/metrics':
          return answer(200, await metrics.metrics(), metrics.contentType);
        default:
          return answer(404, 'try /metrics, /livez or /readyz\n');
      }
    });
    this.#server.requestTimeout = 10_000;
    this.#server.headersTimeout = 5000;
    this.#server.maxConnections = 256;
  }

  /** The address that is listened on, with the real port. */
  get address(): string {
    const { port } = this.#server.address() as AddressInfo;
    return formatAddress({ host: this.#listen.host, port });
  }

  /** @throws Error naming the address, if it cannot be listened on */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', (error) =>
        reject(listenError('HTTP (HOLDFAST_HTTP_LISTEN)', this.#listen, error)),
      );
      this.#server.listen(this.#listen.port, this.#listen.host, resolve);
    });
  }

  stop(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }
}
