/**
 * Which datagrams a media consists of, by their first byte (RFC 7983): 0–3 STUN, 20–63 DTLS, 128–191 RTP or RTCP of
 * version 2. `rtp` is RTP and RTCP, also as SRTP; `dtls-srtp` the same and DTLS; `opaque` anything, such as T.38 over
 * UDPTL.
 */
export type Payload = 'rtp' | 'dtls-srtp' | 'opaque';

/** RFC 3550 section 5.1. */
const rtpHeaderBytes = 12;
/** RFC 3550 section 6.4.2: an empty receiver report. */
const rtcpHeaderBytes = 8;

/** RFC 5761 section 4: packet types 192–223 are RTCP, which may come on the port of RTP. */
export function isRtcp(packet: Buffer): boolean {
  const [first = 0, type = 0] = packet;
  return packet.length >= rtcpHeaderBytes && first >> 6 === 2 && type >= 192 && type <= 223;
}

/** A packet of RTP, also of SRTP; what the kernel forwards. */
export function isRtp(packet: Buffer): boolean {
  return packet.length >= rtpHeaderBytes && (packet[0] as number) >> 6 === 2 && !isRtcp(packet);
}

/** Whether a datagram is of that kind. Everything else is dropped, and must not change where media is sent. */
export function isAcceptable(packet: Buffer, payload: Payload): boolean {
  if (packet.length === 0) {
    return false;
  }
  if (payload === 'opaque') {
    return true;
  }
  const first = packet[0] as number;
  if (first >= 128 && first <= 191) {
    // RTCP may be shorter.
    return packet.length >= rtpHeaderBytes || isRtcp(packet);
  }
  return payload === 'dtls-srtp' && first >= 20 && first <= 63;
}

/** Silence by the static payload types of G.711 (RFC 3551 section 6). */
const g711Silence: Readonly<Record<number, number>> = { 0: 0xff, 8: 0xd5 };

/** The same packet of RTP with silence in place of its sound; undefined where how that sounds is not known. */
export function silenced(packet: Buffer): Buffer | undefined {
  const silence = g711Silence[(packet[1] as number) & 0x7f];
  const start = payloadStart(packet);
  return silence === undefined || start === undefined ? undefined : Buffer.from(packet).fill(silence, start);
}

/** Where the payload begins (RFC 3550 section 5.1); undefined if the packet is too short for what its header says. */
export function payloadStart(packet: Buffer): number | undefined {
  const first = packet[0] as number;
  let start = rtpHeaderBytes + 4 * (first & 0x0f);
  if ((first & 0x10) !== 0) {
    start += packet.length >= start + 4 ? 4 + 4 * packet.readUInt16BE(start + 2) : packet.length;
  }
  return packet.length >= start ? start : undefined;
}
