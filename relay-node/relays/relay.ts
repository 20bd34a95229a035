import type { RelayKind } from '../../services/domain/relay.js';

/** How a relay's media process is doing. */
export interface RelayStatus {
  /** When this life of it began, by this process's monotonic clock, ms. Told in whole seconds by some. */
  readonly startedAtMs: number;
  /** Its own id of this life, where it has one. */
  readonly instance?: string | undefined;
  readonly version: string;
  /** Concurrent calls. */
  readonly calls: number;
  /** RTP packets per second. */
  readonly packetRate: number;
  /** Of these, those that the kernel forwarded; undefined where it does not tell. */
  readonly kernelPacketRate?: number | undefined;
}

/** What a relay node must be able to ask its relay, whatever kind it is. Each question has its own deadline. */
export interface RelayDriver {
  readonly kind: RelayKind;
  start(): Promise<void>;
  stop(): Promise<void>;
  /** Stops here, while the relay's calls go on: for the process that is started next. Undefined if they would end. */
  readonly leave: (() => Promise<void>) | undefined;
  /** Where this node runs the relay's program: tells at once that it has ended, and how: the name of a signal, or `code 1`. */
  readonly onExit?: (listener: (exit: string) => void) => void;
  /** Where SIP proxies reach it, `udp:HOST:PORT`; known once started. */
  readonly controlUrl: string;
  /** The same for proxies that control it as an rtpproxy, where it can be beside the protocol of its kind. */
  readonly rtpproxyUrl?: string | undefined;
  /** Where it forwards media, for people, if it tells; known once started. */
  readonly forwardedWhere?: string;
  /** Resolves if the relay answers. @throws why not */
  ping(): Promise<void>;
  /** @throws if the relay does not answer */
  status(): Promise<RelayStatus>;
  /**
   * For a relay that tells neither an id of its life nor when that began: its id from now on. @param known the last one that was
   * heard of; it is kept if the relay is still in that life. @throws if the relay does not answer
   */
  recall?(known: string | undefined): Promise<string>;
  /**
   * What it can do beyond plain RTP: `ipv4`, `ipv6`, `ice`, `srtp`, `transcode`, `record`, `play`, … @throws if the relay
   * does not answer
   */
  features(): Promise<string[]>;
  /** The Call-IDs it carries, as many as it can tell. @throws if the relay does not answer */
  callIds(): Promise<string[]>;
}
