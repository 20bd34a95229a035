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
    if (packet.length >= rtpHeaderBytes) {
      return true;
    }
    // RFC 5761 section 4: packet types 192–223 are RTCP, which may be shorter.
    const type = packet.length >= rtcpHeaderBytes ? (packet[1] as number) : 0;
    return type >= 192 && type <= 223;
  }
  return payload === 'dtls-srtp' && first >= 20 && first <= 63;
}
