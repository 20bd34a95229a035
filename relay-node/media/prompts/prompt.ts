import { randomBytes } from 'node:crypto';
import type { Clock } from '../../../services/runtime/clock.js';
import { type G711, pcmu } from '../sound/g711.js';

/** Who hears it: while it plays, nothing else. */
export interface Listener {
  /** @param isPlaying whether packets of the other party are held back */
  hold(isPlaying: boolean): void;
  /** Sends a packet of the relay's own. */
  emit(packet: Buffer): void;
}

const packetMs = 20;
const packetSamples = 160;
/** After a pause of the process, what is late is left out. */
const maxLateMs = 200;

/** Plays sound of G.711 to one party, in packets of 20 ms. */
export class Prompt {
  readonly #sound: Buffer;
  readonly #codec: G711;
  readonly #listener: Listener;
  readonly #clock: Clock;
  readonly #onEnd: () => void;
  #leftBytes: number;
  #dueAtMs: number;
  #position = 0;
  readonly #header = Buffer.alloc(12);
  #cancel: (() => void) | undefined;
  #ended = false;

  /** @param times how often; infinite plays until it is stopped */
  constructor(
    sound: { readonly bytes: Buffer; readonly codec: G711; readonly times: number },
    listener: Listener,
    clock: Clock,
    onEnd: () => void,
  ) {
    this.#sound = sound.bytes;
    this.#codec = sound.codec;
    this.#leftBytes = sound.bytes.length * sound.times;
    this.#listener = listener;
    this.#clock = clock;
    this.#onEnd = onEnd;
    this.#dueAtMs = clock.monotonicMs();
    randomBytes(10).copy(this.#header, 2);
    this.#header[0] = 0x80;
  }

  start(): void {
    this.#listener.hold(true);
    this.#play(true);
  }

  stop(): void {
    if (!this.#ended) {
      this.#ended = true;
      this.#cancel?.();
      this.#listener.hold(false);
      this.#onEnd();
    }
  }

  #play(isFirst = false): void {
    if (this.#leftBytes <= 0) {
      this.stop();
      return;
    }
    this.#listener.emit(this.#next(isFirst));
    const nowMs = this.#clock.monotonicMs();
    this.#dueAtMs = Math.max(this.#dueAtMs + packetMs, nowMs - maxLateMs);
    this.#cancel = this.#clock.after(Math.max(0, this.#dueAtMs - nowMs), () => this.#play());
  }

  /** RFC 3550 section 5.1; the first has the marker (RFC 3551 section 4.1). */
  #next(isFirst: boolean): Buffer {
    const header = this.#header;
    header[1] = this.#codec | (isFirst ? 0x80 : 0);
    const packet = Buffer.alloc(12 + packetSamples, this.#codec === pcmu ? 0xff : 0xd5);
    header.copy(packet);
    const bytes = Math.min(packetSamples, this.#leftBytes);
    for (let done = 0; done < bytes; ) {
      const copied = this.#sound.copy(packet, 12 + done, this.#position, this.#position + bytes - done);
      done += copied;
      this.#position = (this.#position + copied) % this.#sound.length;
    }
    this.#leftBytes -= bytes;
    header.writeUInt16BE((header.readUInt16BE(2) + 1) & 0xff_ff, 2);
    header.writeUInt32BE((header.readUInt32BE(4) + packetSamples) >>> 0, 4);
    return packet;
  }
}
