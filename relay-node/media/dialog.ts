import type { Clock } from '../../services/runtime/clock.js';
import type { MediaDescription, MediaReplacement, SessionDescription } from '../control/ng/sdp.js';
import type { PacketListener } from './media-port.js';
import { isRelayable } from './packet.js';
import type { MediaSockets } from './sockets.js';
import { otherSide, type Side, Stream } from './stream.js';

export interface DialogLimits {
  /** m= lines of one SDP. */
  readonly maxMedia: number;
  /** Without packets, an answered dialog ends after this long. */
  readonly idleTimeoutMs: number;
  /** The same for a dialog on hold, where silence is no sign of its end. */
  readonly holdTimeoutMs: number;
  /** An offer that is not answered ends after this long, whatever packets come. */
  readonly answerTimeoutMs: number;
}

export class RefusedError extends Error {
  override readonly name = 'RefusedError';
}

export interface Signal {
  readonly kind: 'offer' | 'answer';
  readonly side: Side;
  readonly sdp: SessionDescription;
  readonly replaceOrigin: boolean;
  /** Where the proxy saw the message come from, if that is to be believed more than the SDP. */
  readonly source: string | undefined;
}

/** Forked calls answer several times; more answers than this push out the oldest. */
const maxTags = 8;

/** The media between two parties. A call has one, or one for each branch that the proxy offers separately. */
export class Dialog implements PacketListener {
  readonly tags: readonly [Set<string>, Set<string>];
  readonly streams: (Stream | undefined)[] = [];
  readonly createdAtMs: number;
  lastSignalMs: number;
  lastPacketMs: number;
  answered = false;
  #closed = false;

  constructor(
    fromTag: string,
    readonly branch: string | undefined,
    private readonly sockets: MediaSockets,
    private readonly limits: DialogLimits,
    private readonly clock: Clock,
  ) {
    this.tags = [new Set([fromTag]), new Set()];
    this.createdAtMs = clock.monotonicMs();
    this.lastSignalMs = this.createdAtMs;
    this.lastPacketMs = this.createdAtMs;
  }

  /** The side of the party with this tag, or undefined. */
  sideOf(tag: string): Side | undefined {
    if (this.tags[0].has(tag)) {
      return 0;
    }
    return this.tags[1].has(tag) ? 1 : undefined;
  }

  addTag(side: Side, tag: string): void {
    const tags = this.tags[side];
    tags.delete(tag);
    tags.add(tag);
    for (const oldest of tags) {
      if (tags.size <= maxTags) {
        break;
      }
      tags.delete(oldest);
    }
  }

  /** The other party, which is to hear this SDP, gets it with the relay's addresses in it. */
  async signal({ kind, side, sdp, replaceOrigin, source }: Signal): Promise<string> {
    if (sdp.media.length > this.limits.maxMedia) {
      throw new RefusedError(`More than ${this.limits.maxMedia} media in the SDP`);
    }
    await this.#openMissing(sdp.media);
    this.lastSignalMs = this.clock.monotonicMs();
    this.lastPacketMs = this.lastSignalMs;
    if (kind === 'answer') {
      this.answered = true;
    }
    const media = sdp.media.map((description, index): MediaReplacement => {
      if (!carries(description)) {
        // A rejected re-INVITE changes nothing, so only an answer switches a media off for good.
        if (kind === 'answer') {
          this.#closeStream(index);
        }
        return 'keep';
      }
      const stream = this.streams[index] as Stream;
      stream.signal(side, description, source);
      const { rtp, rtcp } = stream.pairs[otherSide(side)];
      return { port: rtp.port, rtcpPort: rtcp.port };
    });
    return sdp.rewrite({ address: this.sockets.advertised, kind, replaceOrigin, media });
  }

  packetRelayed(): void {
    this.lastPacketMs = this.clock.monotonicMs();
  }

  /** Why the dialog is over, if it is. */
  expiry(nowMs: number): 'unanswered' | 'silent' | undefined {
    if (!this.answered) {
      return nowMs - this.lastSignalMs >= this.limits.answerTimeoutMs ? 'unanswered' : undefined;
    }
    const open = this.streams.filter((stream) => stream !== undefined);
    const onHold = open.length > 0 && open.every((stream) => stream.quiet);
    const timeoutMs = onHold ? this.limits.holdTimeoutMs : this.limits.idleTimeoutMs;
    return nowMs - this.lastPacketMs >= timeoutMs ? 'silent' : undefined;
  }

  close(): void {
    this.#closed = true;
    for (const index of this.streams.keys()) {
      this.#closeStream(index);
    }
  }

  /** All new media of an SDP get their ports, or none does and nothing has changed. */
  async #openMissing(media: readonly MediaDescription[]): Promise<void> {
    const opened: [number, Stream][] = [];
    try {
      for (const [index, description] of media.entries()) {
        if (!carries(description) || this.streams[index]) {
          continue;
        }
        opened.push([index, await Stream.open(this.sockets, description, this)]);
      }
      // The whole relay may have been stopped meanwhile.
      if (this.#closed) {
        throw new RefusedError('The call has ended');
      }
    } catch (error) {
      for (const [, stream] of opened) {
        stream.close();
      }
      throw error;
    }
    for (const [index, stream] of opened) {
      this.streams[index] = stream;
    }
  }

  #closeStream(index: number): void {
    this.streams[index]?.close();
    this.streams[index] = undefined;
  }
}

function carries(media: MediaDescription): boolean {
  return media.port !== 0 && isRelayable(media.protocol);
}
