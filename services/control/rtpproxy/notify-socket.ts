import { isIPv6 } from 'node:net';

/** As the host of a socket that is told of timeouts: whoever sends the command that names it. */
export const selfHost = '%%CC_SELF%%';

/** The same socket for whoever is elsewhere. @param source address that the command came from */
export function resolveSelf(socket: string, source: string): string {
  return socket.replace(selfHost, isIPv6(source) ? `[${source}]` : source);
}
