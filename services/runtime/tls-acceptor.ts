import type { Socket } from 'node:net';
import { createServer, type TLSSocket, type Server as TlsServer } from 'node:tls';
import { messageOf } from '../domain/error.js';
import { formatAddress } from './address.js';
import type { Clock } from './clock.js';
import type { Logger } from './log.js';
import { RateLimitedWarning } from './rate-limited-warning.js';
import type { TlsFiles } from './tls-files.js';

export interface TlsAcceptorDeps {
  /** Certificates of the server. */
  readonly tls: TlsFiles;
  /** How a client must identify itself; undefined if it need not. */
  readonly clients: TlsClients | undefined;
  /** What is spoken over the connections, as ALPN names it (RFC 7301). */
  readonly protocol: 'h2' | 'http/1.1';
  readonly clock: Clock;
  readonly log: Logger;
}

/** Clients with a certificate signed by an authority of the server's `TlsFiles`. */
export interface TlsClients {
  /** The setting that names the file of these authorities. */
  readonly caSetting: string;
  /** Common names of their certificates, of which one is needed; every name if not given. */
  readonly commonNames?: readonly string[] | undefined;
}

/**
 * The server's side of TLS on connections that were accepted already. It logs why a handshake failed, and uses new certificates for
 * new connections while established ones go on.
 */
export class TlsAcceptor {
  readonly #deps: TlsAcceptorDeps;
  readonly #server: TlsServer;
  #unsubscribe = () => {};

  /** @param take gets each connection whose peer may speak, and the TCP connection below it */
  constructor(deps: TlsAcceptorDeps, take: (socket: TLSSocket, raw: Socket) => void) {
    this.#deps = deps;
    this.#server = this.#createServer(take);
  }

  /** @throws if OpenSSL does not accept the certificates */
  start(): void {
    const { tls } = this.#deps;
    this.#useCertificates();
    this.#unsubscribe = tls.subscribe(() => this.#useCertificates());
  }

  /** Connections that were taken belong to their new owner. */
  stop(): void {
    this.#unsubscribe();
  }

  /** Begins the handshake. The connection is closed if that fails; for how long it may take is its owner's matter. */
  accept(raw: Socket): void {
    this.#server.emit('connection', raw);
  }

  #useCertificates(): void {
    const { cert, key, ca } = this.#deps.tls.current;
    this.#server.setSecureContext({ cert, key, ca, minVersion: 'TLSv1.2' });
  }

  #createServer(take: (socket: TLSSocket, raw: Socket) => void): TlsServer {
    const { clock, log, clients, protocol } = this.#deps;
    const refused = new RateLimitedWarning('TLS handshake failed', clock, log);
    const server = createServer({
      noDelay: true,
      requestCert: clients !== undefined,
      // Node would close such a connection before its certificate can be logged, so it is closed here.
      rejectUnauthorized: false,
      ALPNProtocols: [protocol],
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
      const reason = clients && refusal(socket, clients);
      if (reason === undefined) {
        return take(socket, rawSocket(socket));
      }
      const certificate = socket.getPeerX509Certificate()?.subject.replaceAll('\n', ', ');
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

/** Why a client must not speak, or undefined. */
function refusal(socket: TLSSocket, { caSetting, commonNames }: TlsClients): string | undefined {
  if (!socket.authorized) {
    return socket.getPeerX509Certificate()
      ? certificateReason(socket.authorizationError, caSetting)
      : 'it presents no certificate, and this replica requires one';
  }
  // A subject can have several common names; Node's types allow only one.
  const names = [socket.getPeerCertificate().subject.CN ?? []].flat();
  if (commonNames && !names.some((name) => commonNames.includes(name))) {
    return `its certificate is for another name than ${commonNames.join(', ')}`;
  }
  return undefined;
}

const strangerCodes: readonly string[] = [
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'CERT_SIGNATURE_FAILURE',
];
const certificateReasons: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'its certificate has expired',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet',
  INVALID_PURPOSE: 'its certificate is not for clients (extended key usage clientAuth)',
};

/** Node's types declare an error; it is an error code. */
function certificateReason(authorizationError: unknown, caSetting: string): string {
  const code = String(authorizationError);
  return strangerCodes.includes(code)
    ? `its certificate is not signed by an authority in ${caSetting}`
    : (certificateReasons[code] ?? `its certificate is not valid (${code})`);
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
