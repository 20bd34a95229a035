import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { access, type FileHandle, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Clock, inTime } from '../../../services/runtime/clock.js';
import type { Logger } from '../../../services/runtime/log.js';
import { RefusedError } from '../errors.js';
import { PcapTrack } from './pcap-track.js';
import { Recording } from './recording.js';
import type { RecordingFormat, Track } from './track.js';
import { WavTrack } from './wav-track.js';

export interface RecordingsOptions {
  readonly directory: string;
  /** Of those for which none is asked. */
  readonly format: RecordingFormat;
  /** Default 1 MiB: of a call with G.711 48 s as packets, 32 s as sound of two channels. */
  readonly maxQueuedBytes?: number;
  readonly clock: Clock;
  readonly log: Logger;
}

const flushIntervalMs = 500;
/** A request to record waits no longer for the directory. */
const maxOpenMs = 500;
const maxNameLength = 100;

/**
 * The recordings of a relay, in one directory. One of them is written at a time: a disk that hangs keeps no more than one of the
 * process's few threads for files.
 */
export class Recordings {
  readonly #options: RecordingsOptions;
  readonly #active = new Map<Recording, () => void>();
  #failures = 0;
  #flushing: Promise<void> | undefined;
  #cancelFlush: (() => void) | undefined;

  constructor(options: RecordingsOptions) {
    this.#options = options;
  }

  /** @throws Error if nothing can be written there */
  async check(): Promise<void> {
    const { directory } = this.#options;
    await access(directory, constants.W_OK | constants.X_OK).catch((error: Error) => {
      throw new Error(`recordings cannot be written to ${directory}: ${error.message}`, { cause: error });
    });
  }

  get active(): number {
    return this.#active.size;
  }

  /** Of those that could not be begun, or have ended before their time. */
  get failures(): number {
    return this.#failures;
  }

  get format(): RecordingFormat {
    return this.#options.format;
  }

  /**
   * A new file, named after the call. @param name part of its name
   * @param onEnd it has ended before its time @throws RefusedError
   */
  async begin(name: string, format: RecordingFormat, onEnd: () => void): Promise<Recording> {
    const { directory, clock, log, maxQueuedBytes = 1024 * 1024 } = this.#options;
    const track = newTrack(format, clock);
    const path = join(directory, `${fileName(name)}-${randomBytes(8).toString('hex')}.${track.extension}`);
    // Exclusive, and not through a link that somebody has put there.
    const opening = open(path, 'wx', 0o600);
    const file = await inTime(clock, maxOpenMs, opening, undefined).catch((error: Error) => error);
    if (!file || file instanceof Error) {
      this.#failures++;
      const reason = file?.message ?? 'the directory does not answer';
      log.error({ file: path, reason }, 'cannot start a recording');
      void opening.then((late) => discard(late, path)).catch(() => undefined); // told above
      throw new RefusedError('Recording cannot begin');
    }
    const recording = new Recording(path, file, track, { maxQueuedBytes });
    this.#active.set(recording, onEnd);
    log.info({ file: path }, 'recording started');
    this.#schedule();
    return recording;
  }

  async end(recording: Recording): Promise<void> {
    if (this.#active.delete(recording)) {
      await recording.close();
      this.#report(recording);
    }
  }

  /** Ends all. */
  async stop(): Promise<void> {
    this.#cancelFlush?.();
    await this.#flushing;
    await Promise.all([...this.#active.keys()].map((recording) => this.end(recording)));
  }

  #schedule(): void {
    this.#cancelFlush ??= this.#options.clock.after(flushIntervalMs, () => {
      this.#cancelFlush = undefined;
      this.#retireFailed();
      this.#flushing ??= this.#flush().finally(() => {
        this.#flushing = undefined;
      });
      if (this.#active.size > 0) {
        this.#schedule();
      }
    });
  }

  /** Not on the path of packets. */
  #retireFailed(): void {
    for (const [recording, onEnd] of this.#active) {
      if (recording.failure !== undefined) {
        this.#active.delete(recording);
        onEnd();
        void recording.close().then(() => this.#report(recording));
      }
    }
  }

  async #flush(): Promise<void> {
    for (const recording of [...this.#active.keys()]) {
      await recording.flush();
    }
  }

  #report({ path, failure, skippedPackets }: Recording): void {
    const { log } = this.#options;
    if (failure === undefined) {
      log.info({ file: path, skippedPackets }, 'recording ended');
    } else {
      this.#failures++;
      log.error({ file: path, reason: failure }, 'recording ended early');
    }
  }
}

function newTrack(format: RecordingFormat, clock: Clock): Track {
  return format === 'pcap' ? new PcapTrack(clock) : new WavTrack(clock, format === 'wav' ? 1 : 2);
}

async function discard(file: FileHandle, path: string): Promise<void> {
  await file.close();
  await rm(path, { force: true });
}

/** Names come from the network. */
function fileName(name: string): string {
  const safe = [...Buffer.from(name)].map((byte, index) => {
    const character = String.fromCharCode(byte);
    const isSafe = /[\w@+-]/.test(character) || (character === '.' && index > 0);
    return isSafe ? character : `%${byte.toString(16).padStart(2, '0')}`;
  });
  return safe.join('').slice(0, maxNameLength);
}
