import { isIP, isIPv6 } from 'node:net';
import { errorCodes } from '../../../services/control/rtpproxy/errors.js';
import type { Media } from '../../../services/control/rtpproxy/request.js';
import type { MediaEndpoint } from '../../media/endpoint.js';
import type { MediaSockets } from '../../media/sockets.js';
import { CommandError } from './command-error.js';
import { type Modifiers, readModifiers } from './modifiers.js';

const maxPort = 65_535;

/** What a `U` or `L` says to the relay. */
export interface MediaCommand {
  readonly endpoint: MediaEndpoint;
  readonly isWeak: boolean;
}

/** @throws CommandError if it is wrong, or asks for what this relay does not have */
export function readMedia(media: Media, sockets: MediaSockets): MediaCommand {
  const modifiers = readModifiers(media.modifiers);
  assertReachable(modifiers, sockets);
  const family = isIP(media.address);
  const port = /^\d{1,5}$/.test(media.port) ? Number(media.port) : Number.NaN;
  // Without `6` an address of IPv6 is taken, and of no use: the party is reached where its packets come from.
  if (family === 0 || (modifiers.isIPv6 && family !== 6) || !(port <= maxPort)) {
    throw new CommandError(errorCodes.address);
  }
  const { address } = media;
  return {
    endpoint: {
      rtp: { address, port },
      // RFC 3550 section 11: no other port for RTCP can be told.
      rtcp: { address, port: port > 0 && port < maxPort ? port + 1 : 0 },
      direction: 'sendrecv',
      // Without payload types it may be anything, such as T.38 over UDPTL.
      payload: modifiers.isRtp ? 'dtls-srtp' : 'opaque',
      type: 'unknown',
      protocol: modifiers.isRtp ? 'RTP' : 'UDP',
    },
    isWeak: modifiers.isWeak,
  };
}

/** There is one address, and its version of IP is that of all media. */
function assertReachable(
  { isIPv6: needsIPv6, localAddress, addressTowards }: Modifiers,
  sockets: MediaSockets,
) {
  const hasIPv6 = isIPv6(sockets.address);
  if (needsIPv6 !== hasIPv6 || (addressTowards !== undefined && isIPv6(addressTowards) !== hasIPv6)) {
    throw new CommandError(errorCodes.addressFamily);
  }
  if (localAddress !== undefined && !sockets.isOwn(localAddress)) {
    throw new CommandError(errorCodes.localAddress);
  }
}
