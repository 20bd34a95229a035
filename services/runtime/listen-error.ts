import { messageOf } from '../domain/error.js';
import { type Address, formatAddress } from './config.js';

const advice: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process listens there: stop it, or choose another address',
  EADDRNOTAVAIL: 'this machine has no such address: choose one of its own, or 0.0.0.0 for all',
  EACCES: 'ports below 1024 need a privilege: choose a higher one',
  ENOTFOUND: 'the host name is not known: use an address',
};

/** Why an address cannot be listened on, and what to change. */
export function listenError(setting: string, address: Address, error: unknown): Error {
  const { code = '' } = error as NodeJS.ErrnoException;
  const help = advice[code] ?? messageOf(error);
  return new Error(`cannot listen on ${formatAddress(address)} (${setting}): ${help}`, { cause: error });
}
