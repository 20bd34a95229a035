import { createHmac, randomBytes } from 'node:crypto';
import { crc32 } from './crc32.js';

const cookie = Buffer.from('2112a442', 'hex');

export interface CheckOptions {
  /** Of both agents, that of the receiver first. */
  readonly username: string;
  readonly password: string;
  readonly nominates?: boolean;
  readonly isControlled?: boolean;
}

/** What an agent of ICE sends (RFC 8445 section 7.2). Independent of the relay's code, which it checks. */
export function checkOf({ username, password, nominates, isControlled }: CheckOptions): Buffer {
  const attributes = [
    attribute(0x00_06, Buffer.from(username)),
    attribute(0x00_24, Buffer.from('6e7f1eff', 'hex')),
    attribute(isControlled ? 0x80_29 : 0x80_2a, randomBytes(8)),
    ...(nominates ? [attribute(0x00_25, Buffer.alloc(0))] : []),
  ];
  const unsigned = message(0x00_01, randomBytes(12), attributes, 24);
  const signed = Buffer.concat([
    unsigned,
    attribute(0x00_08, createHmac('sha1', password).update(unsigned).digest()),
  ]);
  signed.writeUInt16BE(signed.length - 20 + 8, 2);
  const fingerprint = Buffer.alloc(4);
  fingerprint.writeUInt32BE((crc32(signed) ^ 0x53_54_55_4e) >>> 0);
  return Buffer.concat([signed, attribute(0x80_28, fingerprint)]);
}

export interface StunReply {
  readonly type: number;
  readonly transaction: string;
  readonly mapped: { readonly address: string; readonly port: number } | undefined;
  readonly errorCode: number | undefined;
  readonly isSigned: boolean;
  readonly hasFingerprint: boolean;
}

export function readReply(packet: Buffer, password: string): StunReply {
  const attributes = new Map<number, Buffer>();
  let isSigned = false;
  let hasFingerprint = false;
  for (let at = 20; at < packet.length; ) {
    const [type, length] = [packet.readUInt16BE(at), packet.readUInt16BE(at + 2)];
    const value = packet.subarray(at + 4, at + 4 + length);
    attributes.set(type, value);
    const before = Buffer.from(packet.subarray(0, at));
    if (type === 0x00_08) {
      before.writeUInt16BE(at - 20 + 24, 2);
      isSigned = createHmac('sha1', password).update(before).digest().equals(value);
    } else if (type === 0x80_28) {
      before.writeUInt16BE(at - 20 + 8, 2);
      hasFingerprint = value.readUInt32BE() === (crc32(before) ^ 0x53_54_55_4e) >>> 0;
    }
    at += 4 + Math.ceil(length / 4) * 4;
  }
  const mapped = attributes.get(0x00_20);
  const error = attributes.get(0x00_09);
  return {
    type: packet.readUInt16BE(0),
    transaction: packet.toString('hex', 8, 20),
    mapped: mapped && {
      address: [...mapped.subarray(4, 8)].map((byte, index) => byte ^ (cookie[index] ?? 0)).join('.'),
      port: mapped.readUInt16BE(2) ^ 0x21_12,
    },
    errorCode: error && (error[2] ?? 0) * 100 + (error[3] ?? 0),
    isSigned,
    hasFingerprint,
  };
}

/** @param more bytes that are still to come before the message is complete */
function message(type: number, transaction: Buffer, attributes: readonly Buffer[], more: number): Buffer {
  const body = Buffer.concat(attributes);
  const header = Buffer.alloc(4);
  header.writeUInt16BE(type, 0);
  header.writeUInt16BE(body.length + more, 2);
  return Buffer.concat([header, cookie, transaction, body]);
}

function attribute(type: number, value: Buffer): Buffer {
  const padded = Buffer.alloc(4 + Math.ceil(value.length / 4) * 4);
  padded.writeUInt16BE(type, 0);
  padded.writeUInt16BE(value.length, 2);
  value.copy(padded, 4);
  return padded;
}
