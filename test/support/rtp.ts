import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';

export interface HeardPacket {
  readonly data: Buffer;
  readonly from: RemoteInfo;
}

const patienceMs = 10_000;

/** A UDP socket that keeps the packets it receives. */
export class PacketSocket {
  readonly heard: HeardPacket[] = [];

  private constructor(readonly socket: Socket) {
    socket.on('message', (data, from) => {
      this.heard.push({ data, from });
      socket.emit('heard');
    });
  }

  static async open(address: string, port = 0): Promise<PacketSocket> {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    socket.bind(port, address);
    await once(socket, 'listening');
    return new PacketSocket(socket);
  }

  get port(): number {
    return this.socket.address().port;
  }

  send(packet: Buffer, port: number, address: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.socket.send(packet, port, address, (error) => (error ? reject(error) : resolve()));
    });
  }

  /** Resolves with the n-th packet received, counted from 1. */
  async nth(n: number): Promise<HeardPacket> {
    const signal = AbortSignal.timeout(patienceMs);
    for (;;) {
      const packet = this.heard[n - 1];
      if (packet) {
        return packet;
      }
      await once(this.socket, 'heard', { signal }).catch(() => {
        throw new Error(`packet ${n} did not arrive within ${patienceMs} ms; ${this.heard.length} arrived`);
      });
    }
  }

  async close(): Promise<void> {
    await new Promise<void>((resolve) => this.socket.close(() => resolve()));
  }
}

export interface RtpTarget {
  readonly address: string;
  readonly port: number;
  readonly rtcpPort: number;
}

/** The media of a phone: sends RTP and RTCP, and keeps what it receives. */
export class RtpParty {
  readonly ssrc: number;
  #sequence = 0;

  private constructor(
    readonly address: string,
    readonly rtp: PacketSocket,
    readonly rtcp: PacketSocket,
  ) {
    this.ssrc = rtp.port * 65_536 + rtcp.port;
  }

  static async open(address = '127.0.0.1'): Promise<RtpParty> {
    return new RtpParty(address, await PacketSocket.open(address), await PacketSocket.open(address));
  }

  /** The port of the m= line. */
  get port(): number {
    return this.rtp.port;
  }

  /** The port of a=rtcp, which need not be the next one. */
  get rtcpPort(): number {
    return this.rtcp.port;
  }

  /** Sends one packet of 20 ms, PCMA by default. @returns the bytes that the other party is to receive */
  async sendRtp(to: RtpTarget, payloadType?: number): Promise<Buffer> {
    const packet = rtpPacket(this.ssrc, ++this.#sequence, payloadType);
    await this.rtp.send(packet, to.port, to.address);
    return packet;
  }

  async sendRtcp(to: RtpTarget): Promise<Buffer> {
    const packet = rtcpReport(this.ssrc);
    await this.rtcp.send(packet, to.rtcpPort, to.address);
    return packet;
  }

  async close(): Promise<void> {
    await Promise.all([this.rtp.close(), this.rtcp.close()]);
  }
}

/** RFC 3550 section 5.1; by default payload type 8, PCMA. */
export function rtpPacket(ssrc: number, sequence: number, payloadType = 8): Buffer {
  const packet = Buffer.alloc(12 + 160, 0xd5);
  packet[0] = 0x80;
  packet[1] = payloadType;
  packet.writeUInt16BE(sequence & 0xff_ff, 2);
  packet.writeUInt32BE((sequence * 160) >>> 0, 4);
  packet.writeUInt32BE(ssrc >>> 0, 8);
  return packet;
}

export interface EventPacket {
  readonly payloadType?: number;
  readonly sequence: number;
  /** Of the event's beginning, the same in all of its packets. */
  readonly timestamp: number;
  readonly code: number;
  readonly isEnd: boolean;
  /** In ticks of the media's clock. */
  readonly duration: number;
  readonly ssrc?: number;
}

/** RFC 4733 section 2.3: a telephone event, at −10 dBm0. */
export function eventPacket(event: EventPacket): Buffer {
  const { payloadType = 101, sequence, timestamp, code, isEnd, duration, ssrc = 7 } = event;
  const packet = Buffer.alloc(16);
  packet[0] = 0x80;
  packet[1] = payloadType;
  packet.writeUInt16BE(sequence, 2);
  packet.writeUInt32BE(timestamp, 4);
  packet.writeUInt32BE(ssrc, 8);
  packet[12] = code;
  packet[13] = (isEnd ? 0x80 : 0) | 10;
  packet.writeUInt16BE(duration, 14);
  return packet;
}

/** RFC 3550 section 6.4.2: a receiver report without report blocks. */
export function rtcpReport(ssrc: number): Buffer {
  const packet = Buffer.alloc(8);
  packet[0] = 0x80;
  packet[1] = 201;
  packet.writeUInt16BE(1, 2);
  packet.writeUInt32BE(ssrc >>> 0, 4);
  return packet;
}

export interface ReceptionReport {
  readonly ssrc: number;
  readonly lossRatio: number;
  readonly lost: number;
  readonly jitter: number;
}

/** RFC 3550 sections 6.4.1 and 6.4.2: a sender report (200) or a receiver report with one block. */
export function receptionReport(ssrc: number, about: ReceptionReport, type: 200 | 201 = 201): Buffer {
  const info = type === 200 ? 20 : 0;
  const packet = Buffer.alloc(32 + info);
  packet[0] = 0x81;
  packet[1] = type;
  packet.writeUInt16BE(packet.length / 4 - 1, 2);
  packet.writeUInt32BE(ssrc >>> 0, 4);
  packet.writeUInt32BE(about.ssrc >>> 0, 8 + info);
  packet[12 + info] = Math.round(about.lossRatio * 256);
  packet.writeIntBE(about.lost, 13 + info, 3);
  packet.writeUInt32BE(about.jitter, 20 + info);
  return packet;
}
