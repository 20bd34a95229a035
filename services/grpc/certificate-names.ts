import type { PeerCertificate } from 'node:tls';

/** The names of certificates, by which clients are told apart: the common name of the subject, and DNS names. */

const maxNameLength = 253;

/** A name, or `*.DOMAIN` for all names of one label more than DOMAIN; undefined for anything else. */
export function parseNamePattern(text: string): string | undefined {
  const [, rest = ''] = /^(?:\*\.)?([^*]+)$/.exec(text) ?? [];
  return rest !== '' && text.length <= maxNameLength ? text.toLowerCase() : undefined;
}

/** Whether one of the names is meant by one of the patterns. Upper and lower case are alike, as in DNS. */
export function isNamed(names: readonly string[], patterns: readonly string[]): boolean {
  return names.some((name) => {
    const lower = name.toLowerCase();
    return patterns.includes(lower) || patterns.includes(lower.replace(/^[^.]+/, '*'));
  });
}

/** The names of a certificate, the common name first. */
export function namesOf({ subject, subjectaltname = '' }: Partial<PeerCertificate>): string[] {
  // A subject may have several common names; Node's types know of one.
  const commonNames = [subject?.CN ?? []].flat();
  return [...new Set([...commonNames, ...dnsNames(subjectaltname)])];
}

/**
 * `DNS:a.example, IP Address:192.0.2.1, URI:"x, DNS:evil.example"`: a value that could be taken for more than one entry
 * is quoted, so the entries are read one after the other, and no quoted one is a name.
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
