import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { createServer as createTlsServer, type TLSSocket, type Server as TlsServer } from 'node:tls';
import { messageOf } from '../domain/error.js';
import { type Address, formatAddress, listenError } from '../runtime/address.js';
import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';
import { RateLimitedWarning } from '../runtime/rate-limited-warning.js';
import type { TlsFiles } from '../runtime/tls-files.js';

export interface ListenerDeps {
  readonly listen: Address;
  /** Certificates to serve with; without them connections are not encrypted. */
  readonly tls: TlsFiles | undefined;
  /** True if each client has to show a certificate that is signed by an authority of `tls`. */
  readonly asksClients: boolean;
  readonly clock: Clock;
  readonly log: Logger;
}

const maxConnections = 10_000;
const handshakeTimeoutMs = 10_000;
/**
 * Accepts connections for the gRPC server. gRPC's own listener keeps to itself why a TLS handshake failed; this one
 * logs it, and puts new certificates to use while the connections of before go on.
 */
export class Listener {
  readonly #deps: ListenerDeps;
  readonly #server: Server;
  readonly #tlsServer: TlsServer | undefined;
  #accept: (socket: Socket) => void = (socket) => socket.destroy();
  #unsubscribe = () => {};
  #port = 0;

  constructor(deps: ListenerDeps) {
    this.#deps = deps;
    if (deps.tls) {
      this.#tlsServer = this.#createTlsServer();
    }
    this.#server = this.#tlsServer ?? createServer({ noDelay: true }, (socket) => this.#take(socket));
    this.#server.maxConnections = maxConnections;
  }

  /** The address that is listened on, with the real port. */
  get address(): string {
    return formatAddress({ host: this.#deps.listen.host, port: this.#port });
  }

  /** Hands each connection over. @throws Error naming the address, if it cannot be listened on */
  async start(accept: (socket: Socket) => void): Promise<void> {
    const { listen, tls } = this.#deps;
    this.#accept = accept;
    if (tls) {
      this.#useCertificates();
      this.#unsubscribe = tls.subscribe(() => this.#useCertificates());
    }
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', (error) =>
        reject(listenError('gRPC (HOLDFAST_GRPC_LISTEN)', listen, error)),
      );
      this.#server.listen({ ...listen }, resolve);
    });
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** Accepts no more; connections that were handed over are their owner's. */
  stop(): void {
    this.#unsubscribe();
    this.#accept = (socket) => socket.destroy();
    this.#server.close();
  }

  #take(socket: Socket): void {
    // Whoever serves the connection hears of its end; without a listener an error would end the process.
    socket.on('error', () => {});
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
      // Node would end such a connection before anybody can read whose certificate it was: that is done here.
      rejectUnauthorized: false,
      ALPNProtocols: ['h2'],
      handshakeTimeout: handshakeTimeoutMs,
    });
    // Once it is closed a socket does not know its peer any more, unless it was asked before.
    server.on('connection', peerOf);
    server.on('tlsClientError', (error, socket) =>
      refused.warn({ peer: peerOf(rawSocket(socket)), reason: handshakeReason(error) }),
    );
    server.on('secureConnection', (socket) => {
      if (!asksClients || socket.authorized) {
        return this.#take(socket);
      }
      const certificate = socket.getPeerX509Certificate()?.subject.replaceAll('\n', ', ');
      const reason =
        certificate === undefined
          ? 'it shows no certificate, and this replica asks for one'
          : certificateReason(socket.authorizationError);
      refused.warn({ peer: peerOf(socket), reason, certificate });
      socket.on('error', () => {});
      socket.destroy();
    });
    return server;
  }
}

export function peerOf({ remoteAddress, remotePort }: Pick<Socket, 'remoteAddress' | 'remotePort'>): string {
  return formatAddress({ host: remoteAddress ?? '', port: remotePort ?? 0 });
}

/** What a TLS socket was made from. */
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
  INVALID_PURPOSE: 'its certificate is not made for clients (extended key usage clientAuth)',
};

/** Node's types say that it is an error; it is the code of one. */
function certificateReason(authorizationError: unknown): string {
  const code = String(authorizationError);
  return certificateReasons[code] ?? `its certificate is no good (${code})`;
}

const handshakeReasons: Readonly<Record<string, string>> = {
  ECONNRESET: 'it left during the handshake: it may not accept the certificate of this replica',
  ERR_SSL_HTTP_REQUEST: 'it does not speak TLS',
  ERR_SSL_WRONG_VERSION_NUMBER: 'it does not speak TLS',
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA:
    'it does not know the authority that signed the certificate of this replica',
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED: 'it says that the certificate of this replica has expired',
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: 'it does not accept the certificate of this replica',
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN: 'it does not accept the certificate of this replica',
  ERR_TLS_HANDSHAKE_TIMEOUT: `it was not done within ${handshakeTimeoutMs / 1000} s`,
};

function handshakeReason(error: Error): string {
  const { code = '' } = error as NodeJS.ErrnoException;
  return handshakeReasons[code] ?? messageOf(error);
}
