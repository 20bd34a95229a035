import { createSocket, type Socket, type SocketType } from 'node:dgram';
import { type LookupOneOptions, lookup } from 'node:dns';
import { lookup as resolve } from 'node:dns/promises';
import { once } from 'node:events';
import { isIP, isIPv6 } from 'node:net';
import { type Address, formatAddress, listenError } from '../../runtime/address.js';

/** Bursts of requests, and of their replies, overrun the kernel's default of about 200 KiB. */
const receiveBufferBytes = 4 << 20;

/**
 * A socket that is connected: it hears that the other port is closed (ICMP port unreachable), and nobody but that address.
 * @throws Error of the system or of Node: the name does not resolve, there is no route, the address is a broadcast
 * address, the port is 0
 */
export async function connectSocket({ host, port }: Address): Promise<Socket> {
  const { address, family } = await resolve(host);
  const socket = createSocket({ type: family === 6 ? 'udp6' : 'udp4' });
  try {
    // No callback: it would get the error as its argument, and no event would tell it. A socket that is taken for connected
    // and is not throws when something is sent.
    socket.connect(port, address);
    await once(socket, 'connect');
  } catch (error) {
    socket.close();
    throw error;
  }
  widenReceiveBuffer(socket);
  return socket;
}

/**
 * A socket that is bound.
 * @param protocol for whose requests, as people call it
 * @param descriptor of a socket that is bound already
 * @throws Error naming the address, if it cannot be listened on, or the descriptor is bound to another
 */
export async function bindSocket(address: Address, protocol: string, descriptor?: number): Promise<Socket> {
  const type = socketType(address.host);
  const socket = createSocket({ type, ipv6Only: type === 'udp6', lookup: numericLookup });
  // Before the bind, which may be done at once.
  const listening = once(socket, 'listening');
  try {
    if (descriptor === undefined) {
      socket.bind({ address: address.host, port: address.port, exclusive: true });
    } else {
      socket.bind({ fd: descriptor });
    }
    await listening;
  } catch (error) {
    socket.close();
    throw listenError(`the ${protocol} protocol`, address, error);
  }
  const [wanted, bound] = [formatAddress(address), formatAddress(localAddress(socket))];
  if (descriptor !== undefined && wanted !== bound) {
    socket.close();
    throw new Error(
      `the socket passed for ${wanted} (${protocol}) is bound to ${bound}: name both in the same order`,
    );
  }
  widenReceiveBuffer(socket);
  return socket;
}

/** Of a bound socket. */
export function localAddress(socket: Socket): Address {
  const { address: host, port } = socket.address();
  return { host, port };
}

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
