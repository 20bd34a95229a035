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
