import { type Address, formatAddress, parseAddress } from '../../runtime/address.js';

/** A TCP port, or the path of a Unix socket. */
export type StreamAddress = Address | { readonly path: string };

/** Longest path of a Unix socket on Linux, bytes. */
const maxPathBytes = 107;

/** `tcp:HOST:PORT`, `unix:PATH` or `/PATH`, as rtpproxy reads it; undefined for anything else. */
export function parseStreamAddress(text: string): StreamAddress | undefined {
  const address = text.startsWith('tcp:') ? parseAddress(text.slice(4)) : undefined;
  if (address) {
    return address.port > 0 ? address : undefined;
  }
  const path = text.startsWith('unix:') ? text.slice(5) : text;
  return path.startsWith('/') && path.length <= maxPathBytes && !/\s/.test(path) ? { path } : undefined;
}

/** The inverse, with one form for a path. */
export function formatStreamAddress(address: StreamAddress): string {
  return 'path' in address ? `unix:${address.path}` : `tcp:${formatAddress(address)}`;
}
