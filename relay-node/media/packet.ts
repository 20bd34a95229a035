/**
 * What a datagram on a media port is, by its first bytes (RFC 7983): 0–3 STUN, 20–63 DTLS, 128–191 RTP or
 * RTCP of version 2.
 */
export type Payload = 'rtp' | 'dtls-srtp' | 'opaque';

/** RFC 3550 section 5.1. */
const rtpHeaderBytes = 12;
/** RFC 3550 section 6.4.2: an empty receiver report. */
const rtcpHeaderBytes = 8;

/** Which check the packets of a media need; protocols that are not RTP pass unseen (T.38 over UDPTL). */
export function payloadOf(protocol: string): Payload {
  const words = protocol.toUpperCase().split('/');
  if (!words.some((word) => word === 'AVP' || word === 'SAVP' || word === 'AVPF' || word === 'SAVPF')) {
    return 'opaque';
  }
  return words.includes('TLS') ? 'dtls-srtp' : 'rtp';
}

/** Only datagrams are relayed; MSRP and other TCP media go from party to party. */
export function isRelayable(protocol: string): boolean {
  return !/(^|\/)TCP(\/|$)/i.test(protocol);
}

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
