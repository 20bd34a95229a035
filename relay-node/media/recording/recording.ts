import type { FileHandle } from 'node:fs/promises';
import type { PacketOrigin, PacketRecorder } from '../leg.js';
import type { Track } from './track.js';

export interface RecordingLimits {
  /** What one recording may have waiting for the disk. */
  readonly maxQueuedBytes: number;
}

/**
 * A file that packets are put into. Nobody waits for the disk: what the file does not take in time ends it. What the file says of
 * its length is written after what it tells of, each time, so that a process that is killed leaves a file that is right.
 */
export class Recording implements PacketRecorder {
  readonly path: string;
  /** Why it has ended before its time. */
  failure: string | undefined;
  readonly #file: FileHandle;
  readonly #track: Track;
  readonly #limits: RecordingLimits;
  #header: Buffer = Buffer.alloc(0);
  /** After the header. */
  #bytes = 0;
  #beingWritten = 0;
  #writing: Promise<void> | undefined;
  #closed = false;

  /** @param file is empty, and open for writing */
  constructor(path: string, file: FileHandle, track: Track, limits: RecordingLimits) {
    this.path = path;
    this.#file = file;
    this.#track = track;
    this.#limits = limits;
  }

  get skippedPackets(): number {
    return this.#track.skippedPackets;
  }

  record(packet: Buffer, origin: PacketOrigin): void {
    if (this.#closed || this.failure !== undefined) {
      return;
    }
    this.#track.add(packet, origin);
    if (this.#track.queuedBytes + this.#beingWritten > this.#limits.maxQueuedBytes) {
      this.#fail('the disk is too slow');
    }
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
    if (this.failure !== undefined) {
      return;
    }
    const queued = this.#track.take(this.#closed);
    this.#beingWritten = queued.length;
    try {
      await this.#writeHeader();
      if (this.#bytes + queued.length > this.#track.maxBytes) {
        this.#fail('the file is as long as its format allows');
        return;
      }
      await this.#writeAt(this.#header.length + this.#bytes, queued);
      this.#bytes += queued.length;
      await this.#writeHeader();
      // A file that was removed takes everything and keeps nothing.
      if ((await this.#file.stat()).nlink === 0) {
        this.#fail('the file was removed');
      }
    } catch (error) {
      this.#fail((error as Error).message);
    } finally {
      this.#beingWritten = 0;
    }
  }

  async #writeHeader(): Promise<void> {
    const header = this.#track.header(this.#bytes);
    if (!header.equals(this.#header)) {
      await this.#writeAt(0, header);
      this.#header = header;
    }
  }

  async #writeAt(position: number, bytes: Buffer): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await this.#file.write(bytes, done, bytes.length - done, position + done);
      done += bytesWritten;
    }
  }

  #fail(reason: string): void {
    if (this.failure === undefined) {
      this.failure = reason;
      // Its memory is not kept for a disk that hangs.
      this.#track.take(true);
    }
  }
}
