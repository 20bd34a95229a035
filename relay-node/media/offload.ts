import type { TransportAddress } from './endpoint.js';

/** How packets get through the relay. */
export type ForwardingPath = 'kernel' | 'userspace';

/** The way of a party's packets through the relay. */
export interface MediaPath {
  readonly from: TransportAddress;
  /** Where they come to. */
  readonly at: TransportAddress;
  /** Where they leave from. */
  readonly leaving: TransportAddress;
  readonly to: TransportAddress;
  /** Payload types of telephone events, which come to user space all the same where somebody is told of them. */
  readonly eventTypes: readonly number[];
}

/** The packets of one party: what is handed over. */
export interface MediaSource {
  /** Undefined if they must not be handed over now. */
  readonly path: MediaPath | undefined;
  /** From now on they are not seen in user space. */
  handedOver(): void;
  /** So many more were forwarded without coming to user space. */
  countOffloaded(packets: number, bytes: number): void;
}

/** Where it is found: it starts after the first ports are open. */
export interface OffloadHolder {
  readonly offload: Offload | undefined;
}

/** What takes packets over from user space, where each stream begins and comes back to. */
export interface Offload {
  /** Until when the packets of all sources are counted, by the monotonic clock. */
  readonly countedUntilMs: number;
  /** Streams, each of one direction, that are handed over. */
  readonly streams: number;
  /** How often everything had to be installed again. */
  readonly rebuilds: number;
  /** A packet of the party was passed on in user space: called for each of them, so it is quick. */
  forwarded(source: MediaSource, packet: Buffer): void;
  /** What the party sends, or where that goes, has changed: from now on it goes through user space. */
  takeBack(source: MediaSource): void;
  /** Undefined if nothing that was taken back is still carried; else resolves when nothing of it is. Never rejects. */
  takenBack(): Promise<void> | undefined;
  /** Whether the party's packets pass without being seen in user space. */
  carries(source: MediaSource): boolean;
  /** What was counted of them since it carries them. */
  counted(source: MediaSource): { readonly packets: number; readonly bytes: number };
  /** Counts their packets up to now, as far as that can be found out; never rejects. */
  count(sources: Iterable<MediaSource>): Promise<void>;
}
