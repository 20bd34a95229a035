import { isIP } from 'node:net';
import type {
  MediaDescription,
  SessionDescription,
} from '../../../services/control/ng/session-description.js';
import { isUnspecified } from '../../../services/runtime/address.js';
import type { MediaEndpoint } from '../../media/endpoint.js';
import type { Payload } from '../../media/packet.js';

/** What a request says of the party that its SDP is of. */
export interface Signaler {
  /** An address that is believed more than the SDP's. */
  readonly source: string | undefined;
  readonly isAsymmetric: boolean;
}

/** What an SDP says to the relay: one endpoint per media, undefined where nothing is relayed. */
export function endpointsOf(
  { media }: SessionDescription,
  signaler: Signaler,
): (MediaEndpoint | undefined)[] {
  return media.map((description) => endpoint(description, signaler));
}

function endpoint(media: MediaDescription, { source, isAsymmetric }: Signaler): MediaEndpoint | undefined {
  const { address, port, rtcp, rtcpMux, direction, type, protocol, formats, iceUfrag, clockRate, events } =
    media;
  if (port === 0 || address === undefined || !isRelayable(protocol)) {
    return undefined;
  }
  const believed = (signaled: string) =>
    source !== undefined && isIP(source) !== 0 && !isUnspecified(signaled) ? source : signaled;
  return {
    rtp: { address: believed(address), port },
    rtcpMux,
    iceUfrag,
    rtcp: { address: believed(rtcp.address ?? address), port: rtcp.port },
    direction,
    isAsymmetric,
    payload: payloadOf(protocol),
    formats,
    events,
    clockRate,
    type,
    protocol,
  };
}

/** What the packets of a media must look like; protocols that are not RTP pass unseen (T.38 over UDPTL). */
export function payloadOf(protocol: string): Payload {
  const words = protocol.toUpperCase().split('/');
  if (!words.some((word) => ['AVP', 'SAVP', 'AVPF', 'SAVPF'].includes(word))) {
    return 'opaque';
  }
  return words.includes('TLS') ? 'dtls-srtp' : 'rtp';
}

/** Only datagrams are relayed; MSRP and other TCP media go from party to party. */
export function isRelayable(protocol: string): boolean {
  return !/(^|\/)TCP(\/|$)/i.test(protocol);
}
