import type { IceCredentials } from './ice/credentials.js';
import type { Payload } from './packet.js';
import type { EventFormat } from './telephone-event.js';

/** An IP address (or a name, which is never sent to) and a UDP port. */
export interface TransportAddress {
  readonly address: string;
  /** 0 where there is none. */
  readonly port: number;
}

export type Direction = 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive';

/** What a party signals of one media: where it wants to receive, and what. */
export interface MediaEndpoint {
  readonly rtp: TransportAddress;
  readonly rtcp: TransportAddress;
  /** RTCP may share the port of RTP (RFC 5761). */
  readonly rtcpMux: boolean;
  /** What names the party in checks of ICE (RFC 8839); undefined if it does not speak it. */
  readonly iceUfrag?: string | undefined;
  readonly direction: Direction;
  /** It sends from other addresses than those above. */
  readonly isAsymmetric?: boolean;
  /** Which datagrams are let through. */
  readonly payload: Payload;
  /** Payload types, as far as they are numbers: the preferred one first. */
  readonly formats: readonly number[];
  /** Those of them that are of telephone events. */
  readonly events?: readonly EventFormat[];
  /** Of the preferred payload type, Hz, if it is said. */
  readonly clockRate?: number | undefined;
  /** `audio`, `video`, `image`, …; for reports. */
  readonly type: string;
  /** `RTP/AVP`, `udptl`, …; for reports. */
  readonly protocol: string;
}

/** The relay's two ports for one media, which take the place of the party's own. */
export interface LocalPorts {
  /** As parties reach it. */
  readonly address: string;
  readonly rtp: number;
  readonly rtcp: number;
  /** The party is told to use ICE with the relay. */
  readonly ice?: IceCredentials | undefined;
  /** The party is told that RTCP shares the port of RTP. */
  readonly rtcpMux: boolean;
}
