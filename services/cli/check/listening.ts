import { createServer } from 'node:net';
import { bindSocket } from '../../control/udp/sockets.js';
import { type Address, formatAddress, listenError } from '../../runtime/address.js';
import type { Check } from './check.js';

/** The address is free for TCP: it is listened on for a moment. */
export const tcpCheck = (subject: string, address: Address): Check => ({
  subject,
  run: async () => {
    const server = createServer();
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(listenError(subject, address, error)));
      server.listen({ host: address.host, port: address.port }, resolve);
    });
    await new Promise((resolve) => server.close(resolve));
    return `${formatAddress(address)} is free`;
  },
});

/** The same for UDP. */
export const udpCheck = (subject: string, address: Address): Check => ({
  subject,
  run: async () => {
    const socket = await bindSocket(address, subject);
    await new Promise<void>((resolve) => socket.close(() => resolve()));
    return `${formatAddress(address)} is free`;
  },
});
