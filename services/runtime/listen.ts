import type { Server } from 'node:net';
import { messageOf } from '../domain/error.js';
import { type Address, listenError } from './address.js';
import type { Clock } from './clock.js';
import type { Logger } from './log.js';
import { RateLimitedWarning } from './rate-limited-warning.js';

export interface ListenDeps {
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Binds a server to an address. Resolves when clients can connect. Later errors, such as running out of file
 * descriptors, are logged at most once a second: open connections go on, and so does the process.
 * @param purpose named in errors and in the log
 * @throws Error naming the address, if it cannot be listened on
 */
export async function listen(
  server: Server,
  { host, port }: Address,
  purpose: string,
  { clock, log }: ListenDeps,
): Promise<void> {
  const failed = new RateLimitedWarning('cannot accept a connection', clock, log);
  let bound = false;
  await new Promise<void>((resolve, reject) => {
    server.on('error', (error) => {
      if (bound) {
        failed.warn({ purpose, reason: messageOf(error) });
      } else {
        reject(listenError(purpose, { host, port }, error));
      }
    });
    server.listen({ host, port }, () => {
      bound = true;
      resolve();
    });
  });
}
