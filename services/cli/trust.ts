import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import { connect } from 'node:tls';
import { messageOf } from '../domain/error.js';
import { parseAddress } from '../runtime/address.js';
import { ConfigError } from '../runtime/config-error.js';
import { readTls, type TlsMaterial } from '../runtime/tls-material.js';
import { CommandError, exits } from './exit.js';

/** `--ca`, `--cert` and `--key`: how a command verifies a replica, and identifies itself. */
export interface TrustOptions {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

/** The TLS files; undefined to connect without TLS. @throws CommandError */
export async function readTrust({ ca, cert, key }: TrustOptions): Promise<TlsMaterial | undefined> {
  if ((cert === undefined) !== (key === undefined)) {
    throw usage('HOLDFAST_CERT and HOLDFAST_KEY (--cert, --key) must be set together');
  }
  if (cert !== undefined && ca === undefined) {
    throw usage(
      'HOLDFAST_CERT (--cert) needs HOLDFAST_CA (--ca): certificates are presented only to replicas that can be verified',
    );
  }
  if (ca === undefined) {
    return undefined;
  }
  const file = (variable: string, path: string | undefined) =>
    path === undefined ? undefined : { variable, path };
  const paths = {
    ca: file('HOLDFAST_CA', ca),
    cert: file('HOLDFAST_CERT', cert),
    key: file('HOLDFAST_KEY', key),
  };
  return readTls(paths).catch((error) => {
    throw error instanceof ConfigError ? usage(error.problems.join('; ')) : error;
  });
}

function usage(message: string): CommandError {
  return new CommandError(message, exits.usage);
}

const handshakeTimeoutMs = 2000;

/**
 * Why a replica and this command do not trust each other; undefined if that is not why there was no answer. gRPC reports most
 * such failures as a broken connection, so the handshake is repeated here to see what happens.
 */
export function diagnose(server: string, trust: TlsMaterial | undefined): Promise<string | undefined> {
  const address = parseAddress(server);
  if (!address) {
    return Promise.resolve(undefined);
  }
  return new Promise((resolve) => {
    let secure = false;
    const socket = connect({
      ...address,
      ...trust,
      // An IP address must not be sent as server name (RFC 6066 section 3).
      ...(isIP(address.host) === 0 ? { servername: address.host } : {}),
      ALPNProtocols: ['h2'],
      rejectUnauthorized: trust !== undefined,
    });
    const end = (reason: string | undefined) => {
      clearTimeout(timer);
      socket.destroy();
      resolve(reason);
    };
    const timer = setTimeout(() => end(undefined), handshakeTimeoutMs);
    socket.once('secureConnect', () => {
      secure = true;
      if (!trust) {
        end('the replica speaks TLS: set HOLDFAST_CA (--ca) to the authority that signed its certificate');
      }
    });
    // The server's HTTP/2 preface: it accepts this client.
    socket.once('data', () => end(undefined));
    socket.on('error', (error) => end(trust && meaningOf(error, trust)));
    socket.once('close', () => end(secure && trust ? refusal(trust) : undefined));
  });
}

const authority = /^(UNABLE_TO_|SELF_SIGNED_CERT|DEPTH_ZERO_SELF_SIGNED)/;

function meaningOf(error: NodeJS.ErrnoException, trust: TlsMaterial): string | undefined {
  const { code = '' } = error;
  if (authority.test(code)) {
    return `the replica's certificate is not signed by the authority in HOLDFAST_CA (--ca) (${messageOf(error)})`;
  }
  if (code === 'CERT_HAS_EXPIRED') {
    return "the replica's certificate has expired";
  }
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    return `the replica's certificate does not name this host (${messageOf(error)}); --server or HOLDFAST_SERVER names the host`;
  }
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG') {
    return 'the replica does not speak TLS: unset HOLDFAST_CA (--ca)';
  }
  if (code.includes('_ALERT_') || code === 'ECONNRESET') {
    return refusal(trust);
  }
  return undefined;
}

/** The replica closed the connection after it saw the certificate of this command, or that there is none. */
function refusal({ cert, validUntilMs = 0 }: TlsMaterial): string {
  if (!cert) {
    return 'the replica requires a certificate: set HOLDFAST_CERT and HOLDFAST_KEY (--cert, --key)';
  }
  const { subject, issuer } = new X509Certificate(cert);
  if (validUntilMs < Date.now()) {
    return `the replica refuses the certificate in HOLDFAST_CERT (--cert): it expired on ${new Date(validUntilMs).toISOString()}`;
  }
  return `the replica refuses the certificate in HOLDFAST_CERT (--cert) of ${oneLine(subject)}, signed by ${oneLine(issuer)}: its log says why`;
}

function oneLine(name: string): string {
  return name.replaceAll('\n', ', ');
}
