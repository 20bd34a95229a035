import { isIP } from 'node:net';
import { errorCodes } from '../../../services/control/rtpproxy/errors.js';
import type { Media } from '../../../services/control/rtpproxy/request.js';
import type { WantedInterfaces } from '../../media/dialog.js';
import type { MediaEndpoint } from '../../media/endpoint.js';
import type { MediaInterfaces } from '../../media/interfaces.js';
import { CommandError } from './command-error.js';
import { interfaceError, type Modifiers, readModifiers } from './modifiers.js';

const maxPort = 65_535;

/** What a `U` or `L` says to the relay. */
export interface MediaCommand {
  readonly endpoint: MediaEndpoint;
  readonly isWeak: boolean;
  /** For a new session. */
  readonly interfaces: WantedInterfaces;
}

/** @throws CommandError if it is wrong, or asks for what this relay does not have */
export function readMedia(media: Media, interfaces: MediaInterfaces): MediaCommand {
  const modifiers = readModifiers(media.modifiers);
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
      // As the parties agree.
      rtcpMux: false,
      direction: 'sendrecv',
      isAsymmetric: modifiers.isAsymmetric,
      // Without payload types it may be anything, such as T.38 over UDPTL.
      payload: modifiers.isRtp ? 'dtls-srtp' : 'opaque',
      formats: modifiers.payloadTypes,
      type: 'unknown',
      protocol: modifiers.isRtp ? 'RTP' : 'UDP',
    },
    isWeak: modifiers.isWeak,
    interfaces: wantedInterfaces(modifiers, interfaces),
  };
}

/**
 * Which addresses of the relay a new session has. rtpproxy has an internal and an external side: here the interfaces of these names, or
 * else the first and the second. The first letter is the side that speaks, and without one it is the first.
 */
function wantedInterfaces(modifiers: Modifiers, interfaces: MediaInterfaces): WantedInterfaces {
  const { isIPv6: needsIPv6, localAddress, addressTowards, sides } = modifiers;
  const [own, other] = sides.map((letter) => {
    const name = nameOf(letter, interfaces.names);
    if (name === undefined) {
      throw new CommandError(interfaceError(letter));
    }
    return name;
  });
  const address = localAddress ?? localTowards(addressTowards, interfaces);
  if (address !== undefined && !interfaces.isOwn(address)) {
    throw new CommandError(errorCodes.localAddress);
  }
  return { own: { name: own, family: needsIPv6 ? 6 : 4, address }, other: { name: other, address } };
}

function nameOf(letter: 'i' | 'e', names: readonly string[]): string | undefined {
  const [name, index] = letter === 'i' ? ['internal', 0] : ['external', 1];
  // With one there are no sides.
  return names.length < 2 ? undefined : (names.find((each) => each === name) ?? names[index]);
}

/** The address from which that one is reached; with several of its version of IP that is for the caller to say. */
function localTowards(addressTowards: string | undefined, interfaces: MediaInterfaces): string | undefined {
  if (addressTowards === undefined) {
    return undefined;
  }
  const [local, another] = interfaces.all.filter(({ family }) => family === isIP(addressTowards));
  if (!local) {
    throw new CommandError(errorCodes.addressFamily);
  }
  if (another) {
    throw new CommandError(errorCodes.addressTowards);
  }
  return local.address;
}
