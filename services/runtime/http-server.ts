import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Registry } from 'prom-client';
import { messageOf } from '../domain/error.js';
import { type Address, formatAddress } from './address.js';
import { ConnectionTable } from './connection-table.js';
import { type ListenDeps, listen } from './listen.js';
import { RateLimitedWarning } from './rate-limited-warning.js';
import { TlsAcceptor, type TlsClients } from './tls-acceptor.js';
import type { TlsFiles } from './tls-files.js';
import { UnpipelinedConnection } from './unpipelined-connection.js';

export interface HttpServerDeps extends ListenDeps {
  readonly listen: Address;
  /** The setting that has this address. */
  readonly listenSetting?: string;
  /** Serves HTTPS, to clients with a certificate. */
  readonly tls?: { readonly files: TlsFiles; readonly clients: TlsClients } | undefined;
  readonly metrics: Registry;
  /** Why the process is not ready, or undefined if it is. */
  readonly notReady: () => string | undefined;
  /** What is wrong although the process is ready, or undefined. */
  readonly caveat?: () => string | undefined;
  /** What there is beside the endpoints of every process. */
  readonly routes?: HttpRoutes | undefined;
  /** What can be done; without it nothing but GET is answered. */
  readonly actions?: HttpActions | undefined;
}

/** The parts of a request that routes need. */
export interface HttpRequest {
  /** As it came, up to the question mark. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** Names in lower case. */
  readonly headers: IncomingHttpHeaders;
}

/** Does what a POST without a body asks for, if it knows that; undefined for the rest. */
export type HttpActions = (request: HttpRequest) => Promise<HttpAnswer> | undefined;

export interface HttpAnswer {
  readonly status: number;
  /** Whatever is sent more than once had better be a buffer: connections that do not read share it. */
  readonly body: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
  /** Goes on after the body for as long as the client listens. @returns what to do when it is gone */
  readonly stream?: (out: HttpStream) => () => void;
}

/** An answer without an end. A client that takes nothing for as long as a request may take is cut off. */
export interface HttpStream {
  /** False while the client has not read what was written: write no more until it has. */
  readonly isReady: boolean;
  write(text: string): void;
  /** Ends the answer. */
  end(): void;
  /** Called each time it becomes ready again. */
  onReady(listener: () => void): void;
}

/** Answers what it knows; undefined for the rest. */
export type HttpRoutes = (request: HttpRequest) => HttpAnswer | Promise<HttpAnswer> | undefined;

const limits = { most: 256, mostPerSource: 256, mostSilentPerSource: 256 };
/** A request must be complete, and its answer read, within this time, ms. */
const requestTimeoutMs = 5000;
/** How often that is checked, ms; Node's default of 30 s would be the limit instead. */
const checkPeriodMs = 1000;

/**
 * The endpoints for operators and Kubernetes: `/metrics` (Prometheus text), `/livez` (200 while the event loop turns)
 * and `/readyz` (200, perhaps with a caveat, or 503 with the reason). An answer that fails is a 500 with the reason.
 */
export class HttpServer {
  readonly #server: Server;
  readonly #deps: HttpServerDeps;
  readonly #failed: RateLimitedWarning;
  /** By the TCP connections. */
  readonly #connections = new ConnectionTable(limits);
  readonly #tls: TlsAcceptor | undefined;
  /** One for all that ask at the same time. */
  #metrics: Promise<string> | undefined;

  constructor(deps: HttpServerDeps) {
    this.#deps = deps;
    this.#failed = new RateLimitedWarning('an HTTP request failed', deps.clock, deps.log);
    const server = createServer({ connectionsCheckingInterval: checkPeriodMs }, (request, response) => {
      const socket = request.socket as Duplex as UnpipelinedConnection;
      this.#connections.busy(socket.raw);
      response.once('close', () => socket.answered());
      void this.#answerOrFailure(request).then(({ status, body, headers, stream }) => {
        response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', ...headers });
        if (stream && request.method === 'GET' && !response.destroyed) {
          response.write(body);
          response.once('close', stream(new ResponseStream(response)));
          return;
        }
        response.end(body);
        // The oldest makes room: one that was answered has no claim to stay, whether it reads the answer or not.
        this.#connections.greeted(socket.raw);
      });
    });
    const [listener] = server.listeners('connection');
    const serve = (socket: Socket, raw: Socket) =>
      listener?.call(server, new UnpipelinedConnection(socket, raw));
    const { tls, clock, log } = deps;
    if (tls) {
      const { files, clients } = tls;
      this.#tls = new TlsAcceptor({ tls: files, clients, protocol: 'http/1.1', clock, log }, serve);
    }
    server.removeAllListeners('connection');
    server.on('connection', (raw: Socket) => {
      // Without this listener an error would end the process; 'close' follows it.
      raw.on('error', () => {});
      if (!this.#connections.admit(raw)) {
        return;
      }
      if (this.#tls) {
        raw.once('close', this.#boundSilence(raw));
        this.#tls.accept(raw);
      } else {
        serve(raw, raw);
      }
    });
    server.requestTimeout = requestTimeoutMs;
    server.headersTimeout = requestTimeoutMs;
    server.timeout = requestTimeoutMs;
    this.#server = server;
  }

  /** The listening address, with the actual port. */
  get address(): string {
    const { port } = this.#server.address() as AddressInfo;
    return formatAddress({ host: this.#deps.listen.host, port });
  }

  /** @throws Error naming the address, if it cannot be listened on */
  start(): Promise<void> {
    this.#tls?.start();
    const { listenSetting = 'HOLDFAST_HTTP_LISTEN' } = this.#deps;
    return listen(this.#server, this.#deps.listen, `HTTP (${listenSetting})`, this.#deps);
  }

  stop(): Promise<void> {
    this.#tls?.stop();
    return new Promise((resolve) => {
      // Its only error is that the server was not running.
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
      this.#connections.closeSilent();
    });
  }

  /** The time of a first request begins before the handshake. @returns how to end it */
  #boundSilence(raw: Socket): () => void {
    return this.#deps.clock.after(requestTimeoutMs, () => {
      if (this.#connections.isSilent(raw)) {
        raw.destroy();
      }
    });
  }

  async #answerOrFailure(request: IncomingMessage): Promise<HttpAnswer> {
    try {
      return await this.#answer(request);
    } catch (error) {
      const reason = messageOf(error);
      this.#failed.warn({ url: request.url, reason });
      return { status: 500, body: `failed: ${reason}\n` };
    }
  }

  async #answer({ method, url = '', headers }: IncomingMessage): Promise<HttpAnswer> {
    const { metrics, notReady, caveat, routes, actions } = this.#deps;
    const [path = '', search] = url.split(/\?(.*)/s);
    if (method === 'POST' && actions) {
      const query = new URLSearchParams(search);
      const missing = { status: 404, body: 'there is no such action\n' };
      return (await actions({ path, query, headers })) ?? missing;
    }
    if (method !== 'GET' && method !== 'HEAD') {
      return { status: 405, body: 'GET only\n', headers: { allow: 'GET, HEAD' } };
    }
    switch (path) {
      case '/livez':
        return { status: 200, body: 'ok\n' };
      case '/readyz': {
        const reason = notReady();
        if (reason !== undefined) {
          return { status: 503, body: `not ready: ${reason}\n` };
        }
        const problem = caveat?.();
        return { status: 200, body: problem === undefined ? 'ok\n' : `ok, but ${problem}\n` };
      }
      case '/metrics':
        return {
          status: 200,
          body: await this.#render(metrics),
          headers: { 'content-type': metrics.contentType },
        };
      default:
        return (
          (await routes?.({ path, query: new URLSearchParams(search), headers })) ?? {
            status: 404,
            body: 'try /metrics, /livez or /readyz\n',
          }
        );
    }
  }

  #render(metrics: Registry): Promise<string> {
    this.#metrics ??= metrics.metrics().finally(() => {
      this.#metrics = undefined;
    });
    return this.#metrics;
  }
}

class ResponseStream implements HttpStream {
  readonly #response: ServerResponse;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  get isReady(): boolean {
    return !this.#response.writableNeedDrain && !this.#response.destroyed;
  }

  write(text: string): void {
    this.#response.write(text);
  }

  end(): void {
    this.#response.end();
  }

  onReady(listener: () => void): void {
    this.#response.on('drain', listener);
  }
}
