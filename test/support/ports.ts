import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

/**
 * Ports are drawn from below the range for outgoing connections: when a test restarts a server on its old port, no client
 * must have taken that port. The system tells whether a port is free.
 */
const lowest = 20_000;
const highest = 32_000;

/** Ports that this process has handed out: their owners may not have bound them yet. */
const taken = new Set<string>();
/** One search at a time: two of them would take ports from under each other. */
let searching: Promise<unknown> = Promise.resolve();

export async function freeTcpPort(host = '127.0.0.1'): Promise<number> {
  return await freeBlock('tcp', 1, 1, (port) => bindsTcp(port, host));
}

export async function freeUdpPort(host = '127.0.0.1'): Promise<number> {
  return await freeBlock('udp', 1, 1, (port) => bindsUdp(port, host));
}

/** The first of `count` adjacent free UDP ports, an even one as for RTP. */
export async function freeUdpBlock(count: number, host = '127.0.0.1'): Promise<number> {
  return await freeBlock('udp', count, 2, (port) => bindsUdp(port, host));
}

export async function freeTcpPorts(count: number, host = '127.0.0.1'): Promise<number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    ports.push(await freeTcpPort(host));
  }
  return ports;
}

function freeBlock(
  protocol: 'tcp' | 'udp',
  count: number,
  step: number,
  isFree: (port: number) => Promise<boolean>,
): Promise<number> {
  const found = searching.then(() => search(protocol, count, step, isFree));
  searching = found.catch(() => undefined);
  return found;
}

/** Looks at one port after the other, from a random one on, until so many in a row are free. */
async function search(
  protocol: 'tcp' | 'udp',
  count: number,
  step: number,
  isFree: (port: number) => Promise<boolean>,
): Promise<number> {
  let first = randomInt(Math.ceil(lowest / step), Math.floor(highest / step)) * step;
  let free = 0;
  for (let looked = 0; looked < highest - lowest + count; looked++) {
    const port = first + free;
    if (port < highest && !taken.has(`${protocol}:${port}`) && (await isFree(port))) {
      free++;
    } else {
      first = port < highest ? Math.ceil((port + 1) / step) * step : lowest;
      free = 0;
    }
    if (free === count) {
      for (let each = first; each < first + count; each++) {
        taken.add(`${protocol}:${each}`);
      }
      return first;
    }
  }
  throw new Error(`no ${count} free ${protocol} ports in a row between ${lowest} and ${highest}`);
}

function bindsTcp(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

function bindsUdp(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
    socket.once('error', () => {
      socket.close();
      resolve(false);
    });
    socket.bind({ port, address: host, exclusive: true }, () => socket.close(() => resolve(true)));
  });
}
