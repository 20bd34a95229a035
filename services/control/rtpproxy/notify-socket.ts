import { isIPv6 } from 'node:net';
import { type Address, formatAddress, parseAddress } from '../../runtime/address.js';

/** A socket that is told of timeouts: a TCP port, or a path of a Unix one. */
export type NotifySocket = Address | { readonly path: string };

/** As a host it means whoever sends the command that names it. */
export const selfHost = '%%CC_SELF%%';

/** Longest path of a Unix socket on Linux, bytes. */
const maxPathBytes = 107;

/** `tcp:HOST:PORT`, `unix:PATH` or `/PATH`, as rtpproxy reads it; undefined for anything else. */
export function parseNotifySocket(text: string): NotifySocket | undefined {
  const address = text.startsWith('tcp:') ? parseAddress(text.slice(4)) : undefined;
  if (address) {
    return address.port > 0 ? address : undefined;
  }
  const path = text.startsWith('unix:') ? text.slice(5) : text;
  return path.startsWith('/') && path.length <= maxPathBytes && !/\s/.test(path) ? { path } : undefined;
}

/** The inverse of `parseNotifySocket`, with one form for a path. */
export function formatNotifySocket(socket: NotifySocket): string {
  return 'path' in socket ? `unix:${socket.path}` : `tcp:${formatAddress(socket)}`;
}

/** The same for whoever is elsewhere. @param source address that the command came from */
export function resolveSelf(socket: string, source: string): string {
  return socket.replace(selfHost, isIPv6(source) ? `[${source}]` : source);
}
