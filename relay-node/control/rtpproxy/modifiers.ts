import { isIP } from 'node:net';
import { type ErrorCode, errorCodes } from '../../../services/control/rtpproxy/errors.js';
import { CommandError } from './command-error.js';

/** What the modifiers of a `U` or `L` ask for, as far as this relay does it. */
export interface Modifiers {
  /** `w`: the session lives until both parties have ended it. */
  readonly isWeak: boolean;
  /** `a`: the party sends from another address than it names. */
  readonly isAsymmetric: boolean;
  /** `c0,8`: payload types are named, so it is RTP. */
  readonly isRtp: boolean;
  /** Those that are named. */
  readonly payloadTypes: readonly number[];
  /** `6`: the address is one of IPv6. */
  readonly isIPv6: boolean;
  /** `l`, `r`: the local address, and an address that is to be reached from it. */
  readonly localAddress: string | undefined;
  readonly addressTowards: string | undefined;
  /** `i`, `e`: the interface of the party that speaks, and that of the other one. */
  readonly sides: readonly ('i' | 'e')[];
}

/** Addresses are followed by other modifiers without a blank. */
const ipAddress = /^(?:(?:\d{1,3}\.){3}\d{1,3}|[\da-f:.]+)/;

/** @throws CommandError */
export function readModifiers(text: string): Modifiers {
  const read = {
    ...{ isWeak: false, isAsymmetric: false, isRtp: false, isIPv6: false },
    ...{ localAddress: '', addressTowards: '' },
  };
  const sides: ('i' | 'e')[] = [];
  let payloadTypes: number[] = [];
  for (let rest = text.toLowerCase(); rest !== ''; ) {
    const [letter, tail] = [rest.charAt(0), rest.slice(1)];
    let taken = '';
    switch (letter) {
      // The default.
      case 's':
        break;
      case 'a':
        read.isAsymmetric = true;
        break;
      case 'w':
        read.isWeak = true;
        break;
      case '6':
        read.isIPv6 = true;
        break;
      case 'c':
        taken = required(/^\d+(?:,\d+)*/, tail, errorCodes.payloadTypes);
        read.isRtp = true;
        payloadTypes = taken.split(',').map(Number);
        break;
      case 'l':
        taken = required(ipAddress, tail, errorCodes.localAddress);
        read.localAddress = address(taken, errorCodes.localAddress);
        break;
      case 'r':
        taken = required(ipAddress, tail, errorCodes.addressTowards);
        read.addressTowards = address(taken, errorCodes.addressTowards);
        break;
      case 'e':
      case 'i':
        sides.push(letter);
        if (sides.length > 2) {
          throw new CommandError(interfaceError(letter));
        }
        break;
      case 'z':
        required(/^(?:[1-9]\d{0,2})(?!\d)/, tail, errorCodes.repacketization);
        throw new CommandError(errorCodes.mediaModifier);
      default:
        throw new CommandError(errorCodes.mediaModifier);
    }
    rest = tail.slice(taken.length);
  }
  return {
    ...read,
    sides,
    payloadTypes,
    localAddress: read.localAddress || undefined,
    addressTowards: read.addressTowards || undefined,
  };
}

export function interfaceError(letter: 'i' | 'e'): ErrorCode {
  return letter === 'e' ? errorCodes.externalInterface : errorCodes.internalInterface;
}

function required(pattern: RegExp, text: string, code: ErrorCode): string {
  const [found] = pattern.exec(text) ?? [];
  if (found === undefined) {
    throw new CommandError(code);
  }
  return found;
}

function address(text: string, code: ErrorCode): string {
  if (isIP(text) === 0) {
    throw new CommandError(code);
  }
  return text;
}
