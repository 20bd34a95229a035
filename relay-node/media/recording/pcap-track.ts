import { isIPv6 } from 'node:net';
import type { Clock } from '../../../services/runtime/clock.js';
import { bytesOf } from '../../../services/runtime/ip-bytes.js';
import type { TransportAddress } from '../endpoint.js';
import type { PacketOrigin } from '../leg.js';
import type { Track } from './track.js';

/** Each packet begins with its IP header: LINKTYPE_RAW of the registry of tcpdump.org. */
const linkTypeRaw = 101;
const maxPacketBytes = 65_535;
const udpProtocol = 17;
const udpHeaderBytes = 8;
const recordHeaderBytes = 16;

/** The packets as they came, RTCP too. */
export class PcapTrack implements Track {
  readonly extension = 'pcap';
  readonly maxBytes = Number.POSITIVE_INFINITY;
  readonly skippedPackets = 0;
  readonly #clock: Clock;
  #queue: Buffer[] = [];
  queuedBytes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(packet: Buffer, { from, to }: PacketOrigin): void {
    const header = packetHeader(this.#clock.wallMs(), from, to, packet);
    this.queuedBytes += header.length + packet.length;
    this.#queue.push(header, packet);
  }

  take(): Buffer {
    const queue = this.#queue;
    this.#queue = [];
    this.queuedBytes = 0;
    return Buffer.concat(queue);
  }

  header(): Buffer {
    return pcapHeader();
  }
}

/** The first bytes of a capture file: libpcap's format 2.4, little endian, with microseconds. */
function pcapHeader(): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1_b2_c3_d4, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(maxPacketBytes, 16);
  header.writeUInt32LE(linkTypeRaw, 20);
  return header;
}

/** What comes before the payload of one datagram: the headers of the record, of IP, and of UDP. */
function packetHeader(wallMs: number, from: TransportAddress, to: TransportAddress, payload: Buffer): Buffer {
  const payloadBytes = payload.length;
  const isV6 = isIPv6(to.address);
  const ipBytes = isV6 ? 40 : 20;
  const header = Buffer.alloc(recordHeaderBytes + ipBytes + udpHeaderBytes);
  const packetBytes = ipBytes + udpHeaderBytes + payloadBytes;
  header.writeUInt32LE(Math.floor(wallMs / 1000), 0);
  header.writeUInt32LE(Math.floor((wallMs % 1000) * 1000), 4);
  header.writeUInt32LE(packetBytes, 8);
  header.writeUInt32LE(packetBytes, 12);
  const ip = header.subarray(recordHeaderBytes, recordHeaderBytes + ipBytes);
  if (isV6) {
    ip[0] = 0x60;
    ip.writeUInt16BE(udpHeaderBytes + payloadBytes, 4);
    ip[6] = udpProtocol;
    ip[7] = 64;
    bytesOf(from.address).copy(ip, 8);
    bytesOf(to.address).copy(ip, 24);
  } else {
    ip[0] = 0x45;
    ip.writeUInt16BE(packetBytes, 2);
    ip[8] = 64;
    ip[9] = udpProtocol;
    bytesOf(from.address).copy(ip, 12);
    bytesOf(to.address).copy(ip, 16);
    ip.writeUInt16BE(checksum(ip), 10);
  }
  const udp = header.subarray(recordHeaderBytes + ipBytes);
  udp.writeUInt16BE(from.port, 0);
  udp.writeUInt16BE(to.port, 2);
  udp.writeUInt16BE(udpHeaderBytes + payloadBytes, 4);
  if (isV6) {
    // Without one a reader takes the packet for damaged (RFC 8200 section 8.1); over IPv4 it may be left out.
    const pseudo = udpHeaderBytes + payloadBytes + udpProtocol;
    udp.writeUInt16BE(checksum(ip.subarray(8), udp, payload, pseudo) || 0xff_ff, 6);
  }
  return header;
}

/** RFC 1071. */
function checksum(...parts: readonly (Buffer | number)[]): number {
  let sum = 0;
  for (const part of parts) {
    if (typeof part === 'number') {
      sum += part;
      continue;
    }
    for (let at = 0; at + 1 < part.length; at += 2) {
      sum += part.readUInt16BE(at);
    }
    sum += part.length % 2 === 1 ? (part.at(-1) as number) << 8 : 0;
  }
  while (sum > 0xff_ff) {
    sum = (sum & 0xff_ff) + (sum >>> 16);
  }
  return ~sum & 0xff_ff;
}
