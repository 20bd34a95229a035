import { createServer } from 'node:net';
import { bindSocket } from '../../control/udp/sockets.js';
import { type Address, formatAddress } from '../../runtime/address.js';
import { systemClock } from '../../runtime/clock.js';
import { listen } from '../../runtime/listen.js';
import { silentLogger } from '../../runtime/log.js';
import type { Check } from './check.js';

/** The address is free for TCP: it is listened on for a moment. */
export const tcpCheck = (subject: string, address: Address): Check => ({
  subject,
  run: async () => {
    const server = createServer();
    await listen(server, address, subject, { clock: systemClock, log: silentLogger });
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
