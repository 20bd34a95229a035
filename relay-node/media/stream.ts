import { isIP } from 'node:net';
import {
  type Direction,
  isUnspecified,
  type MediaDescription,
  type TransportAddress,
} from '../control/ng/sdp.js';
import type { PacketListener } from './media-port.js';
import { payloadOf } from './packet.js';
import type { MediaSockets, PortPair } from './sockets.js';

/** 0 is the party that made the dialog's first offer, 1 the other. */
export type Side = 0 | 1;

export function otherSide(side: Side): Side {
  return side === 0 ? 1 : 0;
}

/** What one party's last SDP said of a media. */
interface Said {
  readonly direction: Direction;
  readonly onHold: boolean;
}

/**
 * One relayed media (an m= line) of a dialog: a port pair for each party, each forwarding to the other.
 * With rtcp-mux both parties use the RTP ports for both; whether they do is between them.
 */
export class Stream {
  readonly #said: [Said | undefined, Said | undefined] = [undefined, undefined];

  private constructor(
    readonly pairs: readonly [PortPair, PortPair],
    private readonly sockets: MediaSockets,
    public type: string,
    public protocol: string,
  ) {}

  static async open(
    sockets: MediaSockets,
    media: MediaDescription,
    listener: PacketListener,
  ): Promise<Stream> {
    const [one, other] = (await sockets.open(2, listener)) as [PortPair, PortPair];
    const stream = new Stream([one, other], sockets, media.type, media.protocol);
    stream.#connect();
    return stream;
  }

  /** Takes in what the party's SDP says; `source` replaces the address if the proxy knows better. */
  signal(side: Side, media: MediaDescription, source: string | undefined): void {
    if (media.type !== this.type || media.protocol !== this.protocol) {
      this.type = media.type;
      this.protocol = media.protocol;
      this.#connect();
    }
    const pair = this.pairs[side];
    pair.rtp.signal(this.#target(media.address, media.port, source));
    pair.rtcp.signal(this.#target(media.rtcp.address, media.rtcp.port, source));
    const onHold = media.address !== undefined && isUnspecified(media.address);
    this.#said[side] = { direction: media.direction, onHold };
  }

  /** Silence is to be expected: one of the parties sends nothing, or asked to be sent nothing. */
  get quiet(): boolean {
    return this.#said.some((said) => said !== undefined && (said.onHold || said.direction !== 'sendrecv'));
  }

  close(): void {
    for (const pair of this.pairs) {
      this.sockets.close(pair);
    }
  }

  #connect(): void {
    const [one, other] = this.pairs;
    const payload = payloadOf(this.protocol);
    one.rtp.connect(other.rtp, payload);
    other.rtp.connect(one.rtp, payload);
    one.rtcp.connect(other.rtcp, payload);
    other.rtcp.connect(one.rtcp, payload);
  }

  /** Never the stream's own ports: a packet sent there would come back for ever. */
  #target(
    address: string | undefined,
    port: number,
    source: string | undefined,
  ): TransportAddress | undefined {
    const unspecified = address !== undefined && isUnspecified(address);
    const host = source !== undefined && isIP(source) !== 0 && !unspecified ? source : address;
    if (host === undefined) {
      return undefined;
    }
    const own = this.pairs.some((pair) => pair.rtp.port === port || pair.rtcp.port === port);
    return own && this.sockets.isOwn(host) ? undefined : { address: host, port };
  }
}
