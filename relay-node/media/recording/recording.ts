import type { FileHandle } from 'node:fs/promises';
import type { Clock } from '../../../services/runtime/clock.js';
import type { TransportAddress } from '../endpoint.js';
import type { PacketRecorder } from '../leg.js';
import { packetHeader, pcapHeader } from './pcap.js';

export interface RecordingLimits {
  /** What one recording may have waiting for the disk. */
  readonly maxQueuedBytes: number;
}

/** A capture file that packets are put into. Nobody waits for the disk: what the file does not take in time ends it. */
export class Recording implements PacketRecorder {
  readonly path: string;
  /** Why it has ended before its time. */
  failure: string | undefined;
  readonly #file: FileHandle;
  readonly #clock: Clock;
  readonly #limits: RecordingLimits;
  #queue: Buffer[] = [pcapHeader()];
  #queuedBytes = 0;
  #writing: Promise<void> | undefined;
  #closed = false;

  constructor(path: string, file: FileHandle, clock: Clock, limits: RecordingLimits) {
    this.path = path;
    this.#file = file;
    this.#clock = clock;
    this.#limits = limits;
  }

  record(packet: Buffer, from: TransportAddress, to: TransportAddress): void {
    if (this.#closed || this.failure !== undefined) {
      return;
    }
    const header = packetHeader(this.#clock.wallMs(), from, to, packet);
    this.#queuedBytes += header.length + packet.length;
    if (this.#queuedBytes > this.#limits.maxQueuedBytes) {
      this.#fail('the disk is too slow');
      return;
    }
    this.#queue.push(header, packet);
  }

  /** Writes what is waiting; never rejects. */
  flush(): Promise<void> {
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
    });
    return this.#writing;
  }

  /** Writes what is left; never rejects. */
  async close(): Promise<void> {
    if (this.#closed) {
      return;
    }
    this.#closed = true;
    await this.#writing;
    await this.flush();
    await this.#file.close().catch((error: Error) => this.#fail(error.message));
  }

  async #write(): Promise<void> {
    const queue = this.#queue;
    const bytes = this.#queuedBytes;
    this.#queue = [];
    if (queue.length === 0 || this.failure !== undefined) {
      return;
    }
    try {
      await this.#file.appendFile(Buffer.concat(queue));
      // A file that was removed takes everything and keeps nothing.
      if ((await this.#file.stat()).nlink === 0) {
        this.#fail('the file was removed');
      }
    } catch (error) {
      this.#fail((error as Error).message);
    }
    this.#queuedBytes -= bytes;
  }

  #fail(reason: string): void {
    this.failure ??= reason;
    this.#queue = [];
  }
}
