import { isIP } from 'node:net';
import type { Address } from '../runtime/address.js';
import { bytesOf } from '../runtime/ip-bytes.js';

/** What a payload is, as Homer and sngrep know it. */
export const hepTypes = {
  /** A line of a log, as text. */
  log: 100,
  /** A command of rtpengine's ng protocol or its reply, with the cookie, as rtpengine mirrors them itself. */
  ng: 0x3d,
} as const;

export interface HepPacket {
  readonly type: keyof typeof hepTypes;
  readonly payload: Buffer;
  /** What it belongs to: the Call-ID. */
  readonly correlationId: Buffer;
  /** IP addresses with ports; one of another family than the source, or a name, is left unspecified. */
  readonly from: Address;
  readonly to: Address;
  /** Ms since 1970. */
  readonly atMs: number;
}

export interface HepAgent {
  /** The number by which Homer knows who captured. */
  readonly id: number;
  /** Its name, for people. */
  readonly node: string;
}

/** Generic chunk types, of vendor 0 (HEP3 section "HEP 3 Generic Chunk Types"). */
const chunks = {
  family: 0x00_01,
  protocol: 0x00_02,
  source4: 0x00_03,
  destination4: 0x00_04,
  source6: 0x00_05,
  destination6: 0x00_06,
  sourcePort: 0x00_07,
  destinationPort: 0x00_08,
  seconds: 0x00_09,
  microseconds: 0x00_0a,
  type: 0x00_0b,
  agentId: 0x00_0c,
  payload: 0x00_0f,
  correlationId: 0x00_11,
  node: 0x00_13,
} as const;

const headerBytes = 6;
const families = { 4: 2, 6: 10 } as const;
const udp = 17;
/** What one datagram can carry over IPv4. */
export const maxPacketBytes = 65_507;

/**
 * One HEP3 packet. All numbers are in network order:
 *
 *     "HEP3" │ length of all │ chunk │ chunk │ …        chunk: vendor (0) │ type │ length with these 6 bytes │ value
 *
 * @returns undefined if it does not fit a datagram
 */
export function encodeHep(
  { type, payload, correlationId, from, to, atMs }: HepPacket,
  { id, node }: HepAgent,
): Buffer | undefined {
  const isSix = isIP(from.host) === 6;
  const parts = [
    byte(chunks.family, isSix ? families[6] : families[4]),
    byte(chunks.protocol, udp),
    chunk(isSix ? chunks.source6 : chunks.source4, addressBytes(from.host, isSix)),
    chunk(isSix ? chunks.destination6 : chunks.destination4, addressBytes(to.host, isSix)),
    short(chunks.sourcePort, from.port),
    short(chunks.destinationPort, to.port),
    long(chunks.seconds, Math.floor(atMs / 1000)),
    long(chunks.microseconds, Math.floor((atMs % 1000) * 1000)),
    byte(chunks.type, hepTypes[type]),
    long(chunks.agentId, id),
    chunk(chunks.node, Buffer.from(node)),
    chunk(chunks.correlationId, correlationId),
    chunk(chunks.payload, payload),
  ];
  const length = headerBytes + parts.reduce((sum, part) => sum + part.length, 0);
  if (length > maxPacketBytes) {
    return undefined;
  }
  const header = Buffer.alloc(headerBytes);
  header.write('HEP3', 'latin1');
  header.writeUInt16BE(length, 4);
  return Buffer.concat([header, ...parts], length);
}

function chunk(type: number, value: Buffer): Buffer {
  const header = Buffer.alloc(headerBytes);
  header.writeUInt16BE(type, 2);
  header.writeUInt16BE(Math.min(0xff_ff, headerBytes + value.length), 4);
  return Buffer.concat([header, value]);
}

const byte = (type: number, value: number) => chunk(type, Buffer.of(value));

function short(type: number, value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return chunk(type, bytes);
}

function long(type: number, value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return chunk(type, bytes);
}

/** Unspecified for what is no address of this family. */
function addressBytes(host: string, isSix: boolean): Buffer {
  return isIP(host) === (isSix ? 6 : 4) ? bytesOf(host) : Buffer.alloc(isSix ? 16 : 4);
}
