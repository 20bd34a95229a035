import { isIP } from 'node:net';

/** A network in CIDR notation (RFC 4632); a single address is a network of one. */
export interface Network {
  readonly address: string;
  readonly prefixLength: number;
}

/** `192.0.2.0/24`, `2001:db8::/32` or an address; undefined for anything else. */
export function parseNetwork(text: string): Network | undefined {
  const [, address = '', bits] = /^([0-9a-fA-F:.]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const version = isIP(address);
  if (version === 0) {
    return undefined;
  }
  const most = version === 4 ? 32 : 128;
  const prefixLength = bits === undefined ? most : Number(bits);
  return prefixLength <= most ? { address, prefixLength } : undefined;
}
