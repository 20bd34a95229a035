import { isIP, isIPv6 } from 'node:net';

/** A host and a port; port 0 takes a free one. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** `192.0.2.1:2223`, `relay.example.org:2223` or `[2001:db8::1]:2223`. */
export function formatAddress({ host, port }: Address): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The inverse of `formatAddress`; undefined for anything else. */
export function parseAddress(text: string): Address | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text);
  const [, bracketed, plain, digits] = match ?? [];
  const host = bracketed !== undefined && isIPv6(bracketed) ? bracketed : plain;
  const port = Number(digits);
  return host !== undefined && port <= 65_535 ? { host, port } : undefined;
}

/** 0.0.0.0 or ::, which nothing can be sent to. Old phones signal hold with it (RFC 3264 section 8.4). */
export function isUnspecified(address: string): boolean {
  return address === '0.0.0.0' || (isIP(address) === 6 && /^[0:]+$/.test(address));
}

/** Only processes of this host reach it. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

const advice: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process has it: stop that one, or choose another port',
  EADDRNOTAVAIL: 'this machine has no such address: choose one of its own',
  EACCES: 'not permitted: choose a port above 1023, or run with CAP_NET_BIND_SERVICE',
  ENOTFOUND: 'the name does not resolve: use an IP address',
};

/**
 * The error of a failed listen: the address, its purpose, the reason and what to change.
 * @param error as the system or grpc-js reports it
 */
export function listenError(purpose: string, address: Address, error: unknown): Error {
  const text = error instanceof Error ? error.message : String(error);
  // grpc-js has the system's code only in its message.
  const { code = /\bE[A-Z]{3,}\b/.exec(text)?.[0] ?? '' } = error as NodeJS.ErrnoException;
  const help = advice[code] ?? text;
  return new Error(`cannot listen on ${formatAddress(address)} for ${purpose}: ${help}`, { cause: error });
}
