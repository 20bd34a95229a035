import type { Socket, SocketType } from 'node:dgram';
import { type LookupOneOptions, lookup } from 'node:dns';
import { isIP, isIPv6 } from 'node:net';

/** Bursts of requests, and of their replies, overrun the kernel's default of about 200 KiB. */
const receiveBufferBytes = 4 << 20;

/** For a bound socket. */
export function widenReceiveBuffer(socket: Socket): void {
  try {
    socket.setRecvBufferSize(receiveBufferBytes);
  } catch {
    // Not permitted in some sandboxes; the default then has to do.
  }
}

export function socketType(host: string): SocketType {
  return isIPv6(host) ? 'udp6' : 'udp4';
}

/**
 * For `createSocket`: numeric addresses need no resolver. Without this every datagram sent goes through
 * `dns.lookup`, which answers even for a number only on the next tick, at the cost of a closure.
 */
export function numericLookup(
  host: string,
  options: LookupOneOptions,
  callback: (error: NodeJS.ErrnoException | null, address: string, family: number) => void,
): void {
  const family = isIP(host);
  if (family === 0) {
    lookup(host, options, callback);
  } else {
    callback(null, host, family);
  }
}
