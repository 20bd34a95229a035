import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Registry } from 'prom-client';
import { messageOf } from '../domain/error.js';
import { type Address, formatAddress } from './address.js';
import { type ListenDeps, listen } from './listen.js';
import { RateLimitedWarning } from './rate-limited-warning.js';

export interface HttpServerDeps extends ListenDeps {
  readonly listen: Address;
  readonly metrics: Registry;
  /** Why the process is not ready, or undefined if it is. */
  readonly notReady: () => string | undefined;
  /** What is wrong although the process is ready, or undefined. */
  readonly caveat?: () => string | undefined;
}

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * The endpoints for operators and Kubernetes: `/metrics` (Prometheus text), `/livez` (200 while the event loop turns)
 * and `/readyz` (200, perhaps with a caveat, or 503 with the reason). An answer that fails is a 500 with the reason.
 */
export class HttpServer {
  readonly #server: Server;
  readonly #deps: HttpServerDeps;
  readonly #failed: RateLimitedWarning;

  constructor(deps: HttpServerDeps) {
    this.#deps = deps;
    this.#failed = new RateLimitedWarning('an HTTP request failed', deps.clock, deps.log);
    this.#server = createServer(async (request, response) => {
      const { status, text, headers } = await this.#answerOrFailure(request);
      response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', ...headers }).end(text);
    });
    this.#server.requestTimeout = 10_000;
    this.#server.headersTimeout = 5000;
    this.#server.maxConnections = 256;
  }

  /** The listening address, with the actual port. */
  get address(): string {
    const { port } = this.#server.address() as AddressInfo;
    return formatAddress({ host: this.#deps.listen.host, port });
  }

  /** @throws Error naming the address, if it cannot be listened on */
  start(): Promise<void> {
    return listen(this.#server, this.#deps.listen, 'HTTP (HOLDFAST_HTTP_LISTEN)', this.#deps);
  }

  stop(): Promise<void> {
    return new Promise((resolve) => {
      // Its only error is that the server was not running.
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  async #answerOrFailure(request: IncomingMessage): Promise<Answer> {
    try {
      return await this.#answer(request);
    } catch (error) {
      const reason = messageOf(error);
      this.#failed.warn({ url: request.url, reason });
      return { status: 500, text: `failed: ${reason}\n` };
    }
  }

  async #answer({ method, url = '' }: IncomingMessage): Promise<Answer> {
    const { metrics, notReady, caveat } = this.#deps;
    if (method !== 'GET' && method !== 'HEAD') {
      return { status: 405, text: 'GET only\n', headers: { allow: 'GET, HEAD' } };
    }
    switch (url.split('?')[0]) {
      case '/livez':
        return { status: 200, text: 'ok\n' };
      case '/readyz': {
        const reason = notReady();
        if (reason !== undefined) {
          return { status: 503, text: `not ready: ${reason}\n` };
        }
        const problem = caveat?.();
        return { status: 200, text: problem === undefined ? 'ok\n' : `ok, but ${problem}\n` };
      }
      case '/metrics':
        return {
          status: 200,
          text: await metrics.metrics(),
          headers: { 'content-type': metrics.contentType },
        };
      default:
        return { status: 404, text: 'try /metrics, /livez or /readyz\n' };
    }
  }
}
