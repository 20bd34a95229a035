import type { PeerCertificate } from 'node:tls';
import type { ServerUnaryCall } from '@grpc/grpc-js';

/** The names in a certificate that identify a client: the subject's common name, and the DNS names. */

const maxNameLength = 253;

/** A name, or `*.DOMAIN` for all names with one label before DOMAIN; undefined for anything else. */
export function parseNamePattern(text: string): string | undefined {
  const [, rest = ''] = /^(?:\*\.)?([^*]+)$/.exec(text) ?? [];
  return rest !== '' && text.length <= maxNameLength ? text.toLowerCase() : undefined;
}

/** Whether any of the names matches any of the patterns. Case is ignored, as in DNS. */
export function isNamed(names: readonly string[], patterns: readonly string[]): boolean {
  return names.some((name) => {
    const lower = name.toLowerCase();
    return patterns.includes(lower) || patterns.includes(lower.replace(/^[^.]+/, '*'));
  });
}

/** A request, as far as it says who makes it. */
export type Caller = Pick<ServerUnaryCall<unknown, unknown>, 'getAuthContext'>;

/** The first name in the client's certificate; undefined without one. Only trusted certificates get a connection. */
export function callerName(caller: Caller): string | undefined {
  return namesOf(caller.getAuthContext().sslPeerCertificate ?? {})[0]?.slice(0, maxNameLength);
}

/** The names of a certificate, the common name first. */
export function namesOf({ subject, subjectaltname = '' }: Partial<PeerCertificate>): string[] {
  // A subject can have several common names; Node's types allow only one.
  const commonNames = [subject?.CN ?? []].flat();
  return [...new Set([...commonNames, ...dnsNames(subjectaltname)])];
}

/**
 * `DNS:a.example, IP Address:192.0.2.1, URI:"x, DNS:evil.example"`: a value that could be mistaken for several entries is
 * quoted. So the text is parsed entry by entry, and quoted values are never names.
 */
function dnsNames(text: string): string[] {
  const names: string[] = [];
  for (const [, type, value = ''] of text.matchAll(/([^:,"]+):("(?:[^"\\]|\\.)*"|[^,]*)(?:, |$)/gy)) {
    if (type === 'DNS' && /^[\w*.-]+$/.test(value)) {
      names.push(value);
    }
  }
  return names;
}
