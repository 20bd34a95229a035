import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls';
import { messageOf } from '../domain/error.js';
import { type Address, formatAddress } from '../runtime/address.js';
import type { Clock } from '../runtime/clock.js';
import { ConnectionTable } from '../runtime/connection-table.js';
import { listen } from '../runtime/listen.js';
import type { Logger } from '../runtime/log.js';
import { RateLimitedWarning } from '../runtime/rate-limited-warning.js';
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
  readonly #tlsServer: TlsServer | undefined;
  readonly #connections: ConnectionTable;
  readonly #silent: RateLimitedWarning;
  /** The TCP connection below each TLS connection. */
  readonly #raw = new WeakMap<Socket, Socket>();
  #accept: (socket: Socket) => void = (socket) => socket.destroy();
  #unsubscribe = () => {};
  #port = 0;

  constructor(deps: ListenerDeps) {
    this.#deps = deps;
    this.#silent = new RateLimitedWarning('connection closed', deps.clock, deps.log);
    this.#connections = new ConnectionTable({
      ...limits,
      ...(deps.tls ? { mostSilentPerSource: mostHandshakesPerSource } : {}),
    });
    if (deps.tls) {
      this.#tlsServer = this.#createTlsServer();
    }
    this.#server = createServer({ noDelay: true }, (socket) => this.#open(socket));
  }

  /** The listening address, with the actual port. */
  get address(): string {
    return formatAddress({ host: this.#deps.listen.host, port: this.#port });
  }

  /** Hands over each connection that speaks HTTP/2. @throws Error naming the address, if it cannot be listened on */
  async start(accept: (socket: Socket) => void): Promise<void> {
    const { listen: address, tls } = this.#deps;
    this.#accept = accept;
    if (tls) {
      this.#useCertificates();
      this.#unsubscribe = tls.subscribe(() => this.#useCertificates());
    }
    await listen(this.#server, address, 'gRPC (HOLDFAST_GRPC_LISTEN)', this.#deps);
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** Accepts no more connections; those handed over belong to their new owner. */
  stop(): void {
    this.#unsubscribe();
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
    const tls = this.#tlsServer;
    if (tls) {
      tls.emit('connection', socket);
    } else {
      afterPreface(socket, () => this.#take(socket, socket));
    }
  }

  #take(socket: Socket, raw: Socket): void {
    this.#connections.greeted(raw);
    this.#accept(socket);
  }

  #useCertificates(): void {
    const { cert, key, ca } = this.#deps.tls?.current ?? {};
    this.#tlsServer?.setSecureContext({ cert, key, ca, minVersion: 'TLSv1.2' });
  }

  #createTlsServer(): TlsServer {
    const { clock, log, asksClients } = this.#deps;
    const refused = new RateLimitedWarning('TLS handshake failed', clock, log);
    const server = createTlsServer({
      noDelay: true,
      requestCert: asksClients,
      // Node would close such a connection before its certificate can be logged, so it is closed here.
      rejectUnauthorized: false,
      ALPNProtocols: ['h2'],
    });
    // A closed socket no longer knows its peer, unless it was asked before.
    server.on('connection', peerOf);
    server.on('tlsClientError', (error, socket) => {
      refused.warn({ peer: peerOf(rawSocket(socket)), reason: handshakeReason(error) });
      // Node reports that a handshake failed, and leaves the connection open.
      rawSocket(socket).destroy();
    });
    server.on('secureConnection', (socket) => {
      socket.on('error', () => {});
      if (!asksClients || socket.authorized) {
        const raw = rawSocket(socket);
        this.#raw.set(socket, raw);
        return afterPreface(socket, () => this.#take(socket, raw));
      }
      const certificate = socket.getPeerX509Certificate()?.subject.replaceAll('\n', ', ');
      const reason =
        certificate === undefined
          ? 'it presents no certificate, and this replica requires one'
          : certificateReason(socket.authorizationError);
      refused.warn({ peer: peerOf(socket), reason, certificate });
      socket.destroy();
    });
    return server;
  }
}

export function peerOf({ remoteAddress, remotePort }: Pick<Socket, 'remoteAddress' | 'remotePort'>): string {
  return formatAddress({ host: remoteAddress ?? '', port: remotePort ?? 0 });
}

/** The TCP socket below a TLS socket. */
function rawSocket(socket: TLSSocket): Socket {
  return (socket as unknown as { readonly _parent?: Socket })._parent ?? socket;
}

const stranger = 'its certificate is not signed by an authority in HOLDFAST_GRPC_TLS_CLIENT_CA';
const certificateReasons: Readonly<Record<string, string>> = {
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: stranger,
  UNABLE_TO_GET_ISSUER_CERT: stranger,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: stranger,
  SELF_SIGNED_CERT_IN_CHAIN: stranger,
  DEPTH_ZERO_SELF_SIGNED_CERT: stranger,
  CERT_SIGNATURE_FAILURE: stranger,
  CERT_HAS_EXPIRED: 'its certificate has expired',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet',
  INVALID_PURPOSE: 'its certificate is not for clients (extended key usage clientAuth)',
};

/** Node's types declare an error; it is an error code. */
function certificateReason(authorizationError: unknown): string {
  const code = String(authorizationError);
  return certificateReasons[code] ?? `its certificate is not valid (${code})`;
}

const handshakeReasons: Readonly<Record<string, string>> = {
  ECONNRESET:
    'it disconnected during the handshake: perhaps it does not accept the certificate of this replica',
  ERR_SSL_HTTP_REQUEST: 'it does not speak TLS',
  ERR_SSL_WRONG_VERSION_NUMBER: 'it does not speak TLS',
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA:
    'it does not know the authority that signed the certificate of this replica',
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED: 'it says that the certificate of this replica has expired',
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: 'it does not accept the certificate of this replica',
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN: 'it does not accept the certificate of this replica',
};

function handshakeReason(error: Error): string {
  const { code = '' } = error as NodeJS.ErrnoException;
  return handshakeReasons[code] ?? messageOf(error);
}
