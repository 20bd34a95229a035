import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { type Address, formatAddress } from '../runtime/address.js';
import type { Clock } from '../runtime/clock.js';
import { ConnectionTable } from '../runtime/connection-table.js';
import { listen } from '../runtime/listen.js';
import type { Logger } from '../runtime/log.js';
import { RateLimitedWarning } from '../runtime/rate-limited-warning.js';
import { peerOf, TlsAcceptor } from '../runtime/tls-acceptor.js';
import type { TlsFiles } from '../runtime/tls-files.js';
import { afterPreface } from './preface.js';

export interface ListenerDeps {
  readonly listen: Address;
  /** Certificates of the server; without them connections are not encrypted. */
  readonly tls: TlsFiles | undefined;
  /** True if each client must present a certificate signed by an authority of `tls`. */
  readonly asksClients: boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A session of HTTP/2 costs about 22 KiB, also when it is closed, until it is collected. */
const limits = { most: 4096, mostPerSource: 1024, mostSilentPerSource: 512, mostUnusedPerSource: 512 };
const mostHandshakesPerSource = 128;
/** From the connection to the end of the TLS handshake and of the preface of HTTP/2. */
const handshakeTimeoutMs = 10_000;

/**
 * Accepts connections for the gRPC server. Unlike gRPC's own listener, it bounds how many there are and how long one may be
 * silent, logs why a TLS handshake failed, and uses new certificates for new connections while established ones go on.
 */
export class Listener {
  readonly #deps: ListenerDeps;
  readonly #server: Server;
  readonly #tls: TlsAcceptor | undefined;
  readonly #connections: ConnectionTable;
  readonly #silent: RateLimitedWarning;
  /** The TCP connection below each TLS connection. */
  readonly #raw = new WeakMap<Socket, Socket>();
  #accept: (socket: Socket) => void = (socket) => socket.destroy();
  #port = 0;

  constructor(deps: ListenerDeps) {
    this.#deps = deps;
    this.#silent = new RateLimitedWarning('connection closed', deps.clock, deps.log);
    this.#connections = new ConnectionTable({
      ...limits,
      ...(deps.tls ? { mostSilentPerSource: mostHandshakesPerSource } : {}),
    });
    const { tls, asksClients, clock, log } = deps;
    if (tls) {
      const clients = asksClients ? { caSetting: 'HOLDFAST_GRPC_TLS_CLIENT_CA' } : undefined;
      this.#tls = new TlsAcceptor({ tls, clients, protocol: 'h2', clock, log }, (socket, raw) => {
        this.#raw.set(socket, raw);
        afterPreface(socket, () => this.#take(socket, raw));
      });
    }
    this.#server = createServer({ noDelay: true }, (socket) => this.#open(socket));
  }

  /** The listening address, with the actual port. */
  get address(): string {
    return formatAddress({ host: this.#deps.listen.host, port: this.#port });
  }

  /** Hands over each connection that speaks HTTP/2. @throws Error naming the address, if it cannot be listened on */
  async start(accept: (socket: Socket) => void): Promise<void> {
    this.#accept = accept;
    this.#tls?.start();
    await listen(this.#server, this.#deps.listen, 'gRPC (HOLDFAST_GRPC_LISTEN)', this.#deps);
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** Accepts no more connections; those handed over belong to their new owner. */
  stop(): void {
    this.#tls?.stop();
    this.#accept = (socket) => socket.destroy();
    this.#server.close();
    this.#connections.closeSilent();
  }

  /** Tells whether a connection that was handed over has requests in progress: one that has none may make room for others. */
  setBusy(socket: Socket, busy: boolean): void {
    const raw = this.#raw.get(socket) ?? socket;
    if (busy) {
      this.#connections.busy(raw);
    } else {
      this.#connections.idle(raw);
    }
  }

  #open(socket: Socket): void {
    // Without this listener an error would end the process; 'close' follows it.
    socket.on('error', () => {});
    if (!this.#connections.admit(socket)) {
      return;
    }
    const cancel = this.#deps.clock.after(handshakeTimeoutMs, () => {
      if (this.#connections.isSilent(socket)) {
        const reason = `it did not begin to speak HTTP/2 within ${handshakeTimeoutMs / 1000} s`;
        this.#silent.warn({ peer: peerOf(socket), reason });
        socket.destroy();
      }
    });
    socket.once('close', cancel);
    if (this.#tls) {
      this.#tls.accept(socket);
    } else {
      afterPreface(socket, () => this.#take(socket, socket));
    }
  }

  #take(socket: Socket, raw: Socket): void {
    this.#connections.greeted(raw);
    this.#accept(socket);
  }
}
