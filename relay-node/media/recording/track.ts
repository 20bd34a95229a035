import type { PacketOrigin } from '../leg.js';

/** A capture of the packets, or their sound: both parties mixed, or one party a channel. */
export type RecordingFormat = 'pcap' | 'wav' | 'wav-channels';

/** What a recording consists of, in the format of its file. */
export interface Track {
  /** How its file is named. */
  readonly extension: string;
  /** What could not be taken in. */
  readonly skippedPackets: number;
  /** What waits to be written. */
  readonly queuedBytes: number;
  add(packet: Buffer, origin: PacketOrigin): void;
  /** What may be written by now, which is taken out. @param isEnd nothing will be added any more */
  take(isEnd: boolean): Buffer;
  /** How a file begins that has so many bytes after that; always of one length. */
  header(bytes: number): Buffer;
  /** Most bytes after the header. */
  readonly maxBytes: number;
}
