import { type Address, formatAddress, parseAddress } from '../runtime/address.js';
import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';
import type { ControlClient } from './client.js';
import { formatStreamAddress, parseStreamAddress, type StreamAddress } from './stream/address.js';
import { StreamClient } from './stream/client.js';
import { UdpClient } from './udp/client.js';

/** Where a relay is controlled. */
export type ControlAddress =
  | { readonly transport: 'udp'; readonly address: Address }
  | { readonly transport: 'stream'; readonly address: StreamAddress };

/** `udp:HOST:PORT`, `tcp:HOST:PORT` or `unix:PATH`; undefined for anything else. */
export function parseControlUrl(url: string): ControlAddress | undefined {
  if (url.startsWith('udp:')) {
    const address = parseAddress(url.slice(4));
    return address && { transport: 'udp', address };
  }
  const address = /^(?:tcp|unix):/.test(url) ? parseStreamAddress(url) : undefined;
  return address && { transport: 'stream', address };
}

export function formatControlUrl({ transport, address }: ControlAddress): string {
  return transport === 'udp' ? `udp:${formatAddress(address)}` : formatStreamAddress(address);
}

export interface OpenClientOptions {
  /** For a request that names none, ms. Default 1000. */
  readonly timeoutMs?: number;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A client of that relay. It connects when it is used. */
export function openClient(
  { transport, address }: ControlAddress,
  options: OpenClientOptions,
): ControlClient {
  return transport === 'udp'
    ? new UdpClient({ ...address, ...options })
    : new StreamClient({ address, ...options });
}
