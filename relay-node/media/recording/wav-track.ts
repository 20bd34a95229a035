import type { Clock } from '../../../services/runtime/clock.js';
import type { PacketOrigin } from '../leg.js';
import { isRtcp, payloadStart } from '../packet.js';
import { decode, pcma, pcmu } from '../sound/g711.js';
import { maxSoundBytes, sampleBytes, sampleRate, wavHeader } from '../sound/wav.js';
import type { Track } from './track.js';

/**
 * So far the timestamps of a source can be from when its packets come: more, and it has begun anew. What is older gets no more
 * sound, and can be written.
 */
const maxShiftSamples = sampleRate;
/** Of which it is known where their timestamps are. */
const maxSources = 16;
const blockSamples = sampleRate;

/** The last packet of a source. */
interface Source {
  readonly position: number;
  readonly timestamp: number;
}

/**
 * The sound of both parties in G.711, as PCM of 16 bits, from the moment when the recording begins. Where a packet belongs says its
 * timestamp (RFC 3550), and of the first one of a source when it came. What is missing is silence.
 */
export class WavTrack implements Track {
  readonly extension = 'wav';
  readonly maxBytes = maxSoundBytes;
  skippedPackets = 0;
  readonly #clock: Clock;
  readonly #startedAtMs: number;
  readonly #channels: number;
  /** Each of one second; one that is not there is silent. */
  readonly #blocks = new Map<number, Buffer>();
  readonly #sources = new Map<string, Source>();
  /** Positions are in samples of one channel. */
  #written = 0;
  #end = 0;

  /** @param channels 1: the parties are mixed; 2: the one that was called is in the second */
  constructor(clock: Clock, channels: 1 | 2) {
    this.#clock = clock;
    this.#channels = channels;
    this.#startedAtMs = clock.monotonicMs();
  }

  get queuedBytes(): number {
    return (this.#now - this.#written) * this.#frameBytes;
  }

  add(packet: Buffer, { side, isEncrypted }: PacketOrigin): void {
    if (isRtcp(packet)) {
      return;
    }
    const codec = (packet[1] as number) & 0x7f;
    const start = payloadStart(packet);
    if (isEncrypted || start === undefined || (codec !== pcmu && codec !== pcma)) {
      this.skippedPackets++;
      return;
    }
    const padding = ((packet[0] as number) & 0x20) === 0 ? 0 : (packet.at(-1) as number);
    const samples = decode(packet.subarray(start, Math.max(start, packet.length - padding)), codec);
    const at = this.#place(`${side} ${packet.readUInt32BE(8)}`, packet.readUInt32BE(4));
    if (at !== undefined) {
      this.#mix(samples, at, this.#channels === 2 ? side : 0);
    }
  }

  take(isEnd: boolean): Buffer {
    const until = isEnd ? Math.max(this.#now, this.#end) : this.#now - maxShiftSamples;
    if (until <= this.#written) {
      return Buffer.alloc(0);
    }
    const bytes = Buffer.alloc((until - this.#written) * this.#frameBytes);
    const first = Math.floor(this.#written / blockSamples);
    for (let index = first; index * blockSamples < until; index++) {
      const begin = index * blockSamples;
      const from = Math.max(0, this.#written - begin) * this.#frameBytes;
      this.#blocks.get(index)?.copy(bytes, Math.max(0, begin - this.#written) * this.#frameBytes, from);
      if (begin + blockSamples <= until) {
        this.#blocks.delete(index);
      }
    }
    this.#written = until;
    return bytes;
  }

  header(bytes: number): Buffer {
    return wavHeader(this.#channels, bytes);
  }

  get #frameBytes(): number {
    return this.#channels * sampleBytes;
  }

  get #now(): number {
    return Math.floor(((this.#clock.monotonicMs() - this.#startedAtMs) * sampleRate) / 1000);
  }

  /** Where the samples of a packet begin; undefined if it has come twice. */
  #place(name: string, timestamp: number): number | undefined {
    const source = this.#sources.get(name);
    if (source?.timestamp === timestamp) {
      return undefined;
    }
    const now = this.#now;
    // Timestamps have 32 bits.
    const elapsed = source ? (timestamp - source.timestamp) | 0 : 0;
    const expected = source ? source.position + elapsed : now;
    const position = Math.abs(expected - now) > maxShiftSamples ? now : expected;
    this.#sources.delete(name);
    this.#sources.set(name, { position, timestamp });
    if (this.#sources.size > maxSources) {
      this.#sources.delete(this.#sources.keys().next().value as string);
    }
    return position;
  }

  #mix(samples: Int16Array, at: number, channel: number): void {
    for (let done = Math.max(0, this.#written - at); done < samples.length; ) {
      const position = at + done;
      const [index, offset] = [Math.floor(position / blockSamples), position % blockSamples];
      const end = Math.min(samples.length, done + blockSamples - offset);
      const block = this.#block(index);
      let byte = offset * this.#frameBytes + channel * sampleBytes;
      for (; done < end; done++) {
        const sum = block.readInt16LE(byte) + (samples[done] as number);
        block.writeInt16LE(Math.max(-0x80_00, Math.min(0x7f_ff, sum)), byte);
        byte += this.#frameBytes;
      }
    }
    this.#end = Math.max(this.#end, at + samples.length);
  }

  #block(index: number): Buffer {
    let block = this.#blocks.get(index);
    if (!block) {
      block = Buffer.alloc(blockSamples * this.#frameBytes);
      this.#blocks.set(index, block);
    }
    return block;
  }
}
