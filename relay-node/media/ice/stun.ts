import { createHmac, timingSafeEqual } from 'node:crypto';
import { isIPv6 } from 'node:net';
import { bytesOf } from '../../../services/runtime/ip-bytes.js';
import type { TransportAddress } from '../endpoint.js';

/** RFC 8489. */
const headerBytes = 20;
const magicCookie = 0x21_12_a4_42;
const methods = { request: 0x00_01, success: 0x01_01, error: 0x01_11 } as const;
const attributes = {
  username: 0x00_06,
  messageIntegrity: 0x00_08,
  errorCode: 0x00_09,
  xorMappedAddress: 0x00_20,
  useCandidate: 0x00_25,
  fingerprint: 0x80_28,
  iceControlled: 0x80_29,
} as const;
const integrityBytes = 20;
const fingerprintXor = 0x53_54_55_4e;
const maxAttributes = 32;

/** A Binding request that checks connectivity (RFC 8445 section 7.2). */
export interface Check {
  readonly transaction: Buffer;
  /** The two fragments, that of the receiver first. */
  readonly username: string;
  /** The sender has chosen this pair of addresses. */
  readonly isNominated: boolean;
  /** The sender takes the receiver for the one that chooses. */
  readonly isFromControlled: boolean;
  isSignedWith(password: string): boolean;
}

/** RFC 8489 section 5: tells it apart from all else that comes on the port (RFC 7983). */
export function isStun(packet: Buffer): boolean {
  return packet.length >= headerBytes && (packet[0] as number) < 4 && packet.readUInt32BE(4) === magicCookie;
}

/** Undefined for anything but a well-formed Binding request that is signed. */
export function readCheck(packet: Buffer): Check | undefined {
  if (packet.readUInt16BE(0) !== methods.request || packet.readUInt16BE(2) !== packet.length - headerBytes) {
    return undefined;
  }
  const found = new Map<number, { readonly at: number; readonly value: Buffer }>();
  let count = 0;
  for (let at = headerBytes; at < packet.length; ) {
    if (at + 4 > packet.length || ++count > maxAttributes) {
      return undefined;
    }
    const [type, length] = [packet.readUInt16BE(at), packet.readUInt16BE(at + 2)];
    if (at + 4 + length > packet.length) {
      return undefined;
    }
    // What follows the signature is not signed, but for the fingerprint.
    if (!found.has(attributes.messageIntegrity) && !found.has(type)) {
      found.set(type, { at, value: packet.subarray(at + 4, at + 4 + length) });
    }
    at += 4 + length + ((4 - (length % 4)) % 4);
  }
  const username = found.get(attributes.username)?.value.toString('utf8');
  const signature = found.get(attributes.messageIntegrity);
  if (username === undefined || signature?.value.length !== integrityBytes) {
    return undefined;
  }
  return {
    transaction: Buffer.from(packet.subarray(8, headerBytes)),
    username,
    isNominated: found.has(attributes.useCandidate),
    isFromControlled: found.has(attributes.iceControlled),
    isSignedWith: (password) =>
      timingSafeEqual(signature.value, signatureOf(packet.subarray(0, signature.at), password)),
  };
}

/** The reply that a check asks for: where it came from. */
export function success({ transaction }: Check, from: TransportAddress, password: string): Buffer {
  const address = bytesOf(from.address);
  const cookie = Buffer.alloc(4);
  cookie.writeUInt32BE(magicCookie);
  const mask = Buffer.concat([cookie, transaction]);
  const value = Buffer.alloc(4 + address.length);
  value[1] = isIPv6(from.address) ? 2 : 1;
  value.writeUInt16BE(from.port ^ (magicCookie >>> 16), 2);
  for (const [index, byte] of address.entries()) {
    value[4 + index] = byte ^ (mask[index] as number);
  }
  return signed(methods.success, transaction, attribute(attributes.xorMappedAddress, value), password);
}

/** RFC 8445 section 7.3.1.1: this agent never chooses. */
export function roleConflict({ transaction }: Check, password: string): Buffer {
  const value = Buffer.concat([Buffer.of(0, 0, 4, 87), Buffer.from('Role Conflict')]);
  return signed(methods.error, transaction, attribute(attributes.errorCode, value), password);
}

function signed(type: number, transaction: Buffer, body: Buffer, password: string): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt16BE(type, 0);
  header.writeUInt16BE(body.length, 2);
  header.writeUInt32BE(magicCookie, 4);
  const message = Buffer.concat([header, transaction, body]);
  const integrity = attribute(attributes.messageIntegrity, signatureOf(message, password));
  const whole = Buffer.concat([message, integrity]);
  whole.writeUInt16BE(whole.length - headerBytes + 8, 2);
  const fingerprint = Buffer.alloc(4);
  fingerprint.writeUInt32BE((crc32(whole) ^ fingerprintXor) >>> 0);
  return Buffer.concat([whole, attribute(attributes.fingerprint, fingerprint)]);
}

/** The length in the header counts up to the signature itself (RFC 8489 section 14.5). */
function signatureOf(message: Buffer, password: string): Buffer {
  const copy = Buffer.from(message);
  copy.writeUInt16BE(message.length - headerBytes + 4 + integrityBytes, 2);
  return createHmac('sha1', password).update(copy).digest();
}

function attribute(type: number, value: Buffer): Buffer {
  const padded = Buffer.alloc(4 + Math.ceil(value.length / 4) * 4);
  padded.writeUInt16BE(type, 0);
  padded.writeUInt16BE(value.length, 2);
  value.copy(padded, 4);
  return padded;
}

/** ISO 3309, bit by bit: messages are short, and rare. */
function crc32(bytes: Buffer): number {
  let crc = 0xff_ff_ff_ff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) {
      crc = (crc >>> 1) ^ (crc & 1 ? 0xed_b8_83_20 : 0);
    }
  }
  return ~crc;
}
