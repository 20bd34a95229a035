import { isIP } from 'node:net';
import { isUnspecified } from '../../services/runtime/address.js';
import type { Clock } from '../../services/runtime/clock.js';
import type { LocalPorts, MediaEndpoint } from './endpoint.js';
import { NoInterfaceError, RefusedError } from './errors.js';
import type { IcePolicy } from './ice/credentials.js';
import type { Family, LocalAddress, Wanted } from './interfaces.js';
import type { Handling, Leg, PacketListener, PacketRecorder } from './leg.js';
import type { MuxPolicy } from './rtcp-mux.js';
import { otherSide, type Side } from './side.js';
import type { MediaSockets } from './sockets.js';
import type { DialogState } from './state/call-state.js';
import { Stream } from './stream.js';
import type { TelephoneEvent } from './telephone-event.js';

export interface DialogLimits {
  /** Media of one dialog. */
  readonly maxMedia: number;
  /** Without packets, an answered dialog ends after this long. */
  readonly idleTimeoutMs: number;
  /** The same for a dialog on hold, where silence is no sign of its end. */
  readonly holdTimeoutMs: number;
  /** An offer that is not answered ends after this long, whatever packets come. */
  readonly answerTimeoutMs: number;
}

export interface Signal {
  readonly kind: 'offer' | 'answer';
  readonly side: Side;
  /** Undefined where a media is rejected, switched off, or not relayed. */
  readonly media: readonly (MediaEndpoint | undefined)[];
  readonly interfaces?: WantedInterfaces | undefined;
  readonly rtcpMux?: MuxPolicy | undefined;
  /** Default `remove`. */
  readonly ice?: IcePolicy | undefined;
}

/** What is asked of the interfaces. Undefined: media that there are stay where they are, and new ones get the first one. */
export interface WantedInterfaces {
  /** Of the party that signals. */
  readonly own: Wanted;
  /** Of the other one. */
  readonly other: Wanted;
}

/** When a dialog that was deleted ends. */
export interface Deletion {
  readonly atMs: number;
  /** The whole call was deleted without naming a party: whatever comes next of the call takes it back. */
  readonly ofCall: boolean;
}

export interface Deadline {
  /** By the monotonic clock. */
  readonly atMs: number;
  readonly reason: 'deleted' | 'unanswered' | 'silent';
}

/** That a party has pressed one, or told of another event. */
export interface Key {
  readonly dialog: Dialog;
  readonly side: Side;
  readonly event: TelephoneEvent;
  /** Where the party sends from. */
  readonly address: string;
}

/** The media between two parties. A call has one, or one for each branch and each answer of a forked call. */
export class Dialog implements PacketListener {
  /** The second party has none until it answers. */
  readonly tags: [string, string | undefined];
  /** The Via branch along which it was offered first, unless the branch has come to mean another dialog. */
  branch: string | undefined;
  readonly streams: (Stream | undefined)[] = [];
  createdAtMs: number;
  lastSignalMs: number;
  lastPacketMs: number;
  answered = false;
  deletion: Deletion | undefined;
  /** Which parties have signaled their media. */
  readonly #signaled: [boolean, boolean] = [false, false];
  /** Of the RTP of each party. */
  readonly #handling: [Handling, Handling] = ['pass', 'pass'];
  #recorder: PacketRecorder | undefined;
  #closed = false;
  /** What another process would need has changed. */
  onChange: () => void = () => undefined;
  onKey: (key: Key) => void = () => undefined;

  constructor(
    tags: readonly [string, string | undefined],
    private readonly sockets: MediaSockets,
    private readonly limits: DialogLimits,
    private readonly clock: Clock,
  ) {
    this.tags = [...tags];
    this.createdAtMs = clock.monotonicMs();
    this.lastSignalMs = this.createdAtMs;
    this.lastPacketMs = this.createdAtMs;
  }

  /** Goes on with a dialog of another process. @throws OutOfPortsError; then it has to be closed */
  async restore({ streams, signaled, handling, ...state }: DialogState): Promise<void> {
    this.branch = state.branch;
    this.createdAtMs = state.createdAtMs;
    this.lastSignalMs = state.lastSignalMs;
    this.answered = state.answered;
    this.deletion = state.deletion;
    [this.#signaled[0], this.#signaled[1]] = signaled;
    for (const stream of streams) {
      this.streams.push(stream ? await Stream.restore(this.sockets, stream, this) : undefined);
    }
    this.handle(0, handling[0]);
    this.handle(1, handling[1]);
  }

  get state(): DialogState {
    const { branch, createdAtMs, lastSignalMs, answered, deletion } = this;
    const streams = Array.from(this.streams, (stream) => stream?.state ?? null);
    const [from, to = null] = this.tags;
    return {
      ...{ tags: [from, to], branch, createdAtMs, lastSignalMs, answered, deletion, streams },
      signaled: [...this.#signaled],
      handling: [...this.#handling],
    };
  }

  /** The side of the party with this tag, or undefined. */
  sideOf(tag: string): Side | undefined {
    if (this.tags[0] === tag) {
      return 0;
    }
    return this.tags[1] === tag ? 1 : undefined;
  }

  /** Takes over the media of an offer that another party has answered already. @throws OutOfPortsError, RefusedError */
  async forkFrom(dialog: Dialog): Promise<void> {
    const opened: (Stream | undefined)[] = [];
    try {
      for (const stream of dialog.streams) {
        opened.push(await stream?.fork(this));
      }
      this.#assertOpen();
    } catch (error) {
      for (const stream of opened) {
        stream?.close();
      }
      throw error;
    }
    this.streams.push(...opened);
    this.#signaled[0] = true;
  }

  /**
   * What one party signals. The other is to be told these ports instead, one entry per media; undefined where the media
   * is not relayed. @throws OutOfPortsError, NoInterfaceError, RefusedError; then nothing has changed
   */
  async signal(signal: Signal): Promise<(LocalPorts | undefined)[]> {
    const { kind, side, media } = signal;
    if (media.length > this.limits.maxMedia) {
      throw new RefusedError(`More than ${this.limits.maxMedia} media in the SDP`);
    }
    await this.#openMissing(signal);
    this.lastSignalMs = this.clock.monotonicMs();
    this.lastPacketMs = this.lastSignalMs;
    this.#signaled[side] = true;
    // Not every protocol tells an answer from an offer.
    if (kind === 'answer' || this.#signaled[otherSide(side)]) {
      this.answered = true;
    }
    return media.map((endpoint, index) => {
      if (!endpoint) {
        // A rejected re-INVITE changes nothing, so only an answer switches a media off for good.
        if (kind === 'answer') {
          this.#closeStream(index);
        }
        return undefined;
      }
      const stream = this.streams[index] as Stream;
      const ice = stream.negotiateIce(kind, side, endpoint, signal.ice ?? 'remove');
      stream.signal(side, endpoint);
      const rtcpMux = stream.negotiateMux(kind, side, endpoint, signal.rtcpMux);
      const { local, rtp, rtcp } = stream.sides[otherSide(side)].pair;
      return { address: local.advertised, rtp: rtp.port, rtcp: rtcp.port, ice, rtcpMux };
    });
  }

  get recorder(): PacketRecorder | undefined {
    return this.#recorder;
  }

  /** All packets go there, too; undefined ends it. */
  record(recorder: PacketRecorder | undefined): void {
    this.#recorder = recorder;
    for (const stream of this.streams) {
      stream?.takeBack();
    }
  }

  /** The media that sound can be played in: the first one that is not encrypted and may be audio. */
  get audio(): Stream | undefined {
    return this.streams.find(
      (stream) => stream && ['audio', 'unknown'].includes(stream.type) && !stream.isEncrypted,
    );
  }

  /** What becomes of the RTP of one party, in all its media, also those to come. */
  handle(side: Side, handling: Handling): void {
    this.#handling[side] = handling;
    for (const stream of this.streams) {
      stream?.handle(side, handling);
    }
  }

  get nowMs(): number {
    return this.clock.monotonicMs();
  }

  /** Called now and then. */
  reviewConsent(): void {
    for (const stream of this.streams) {
      stream?.reviewConsent();
    }
  }

  stateChanged(): void {
    this.onChange();
  }

  keyPressed(side: Side, event: TelephoneEvent, address: string): void {
    this.onKey({ dialog: this, side, event, address });
  }

  packetRelayed(): number {
    this.lastPacketMs = this.clock.monotonicMs();
    return this.lastPacketMs;
  }

  /** One for each party of a media, as far as its RTP goes. */
  *legs(): Generator<Leg> {
    for (const stream of this.streams) {
      for (const { rtp } of stream?.sides ?? []) {
        yield rtp;
      }
    }
  }

  /** Those whose packets pass without being seen here. */
  *offloadedLegs(): Generator<Leg> {
    for (const leg of this.legs()) {
      if (leg.forwardingPath === 'kernel') {
        yield leg;
      }
    }
  }

  /** When the dialog is over if nothing more is heard of it, and why. */
  get deadline(): Deadline {
    const { limits, deletion } = this;
    if (deletion) {
      return { atMs: deletion.atMs, reason: 'deleted' };
    }
    if (!this.answered) {
      return { atMs: this.lastSignalMs + limits.answerTimeoutMs, reason: 'unanswered' };
    }
    const open = this.streams.filter((stream) => stream !== undefined);
    const onHold = open.length > 0 && open.every((stream) => stream.quiet);
    const timeoutMs = onHold ? limits.holdTimeoutMs : limits.idleTimeoutMs;
    return { atMs: this.lastPacketMs + timeoutMs, reason: 'silent' };
  }

  close(): void {
    this.#closed = true;
    for (const index of this.streams.keys()) {
      this.#closeStream(index);
    }
  }

  /** All media that are new, or move to another interface, get their ports, or none does and nothing has changed. */
  async #openMissing({ kind, side, media, interfaces }: Signal): Promise<void> {
    const opened: [number, Stream][] = [];
    try {
      for (const [index, endpoint] of media.entries()) {
        const current = this.streams[index];
        if (!endpoint || (current && !interfaces)) {
          continue;
        }
        const locals = this.#locals(side, endpoint, interfaces, current);
        if (!current) {
          opened.push([index, await Stream.open(this.sockets, locals, endpoint, this)]);
        } else if (locals.some((local, at) => local !== current.locals[at])) {
          // The other party was told another port already.
          if (kind === 'answer') {
            throw new NoInterfaceError('name', interfaces?.own ?? {});
          }
          opened.push([index, await Stream.open(this.sockets, locals, endpoint, this)]);
        }
      }
      this.#assertOpen();
    } catch (error) {
      for (const [, stream] of opened) {
        stream.close();
      }
      throw error;
    }
    for (const [index, stream] of opened) {
      this.#closeStream(index);
      this.streams[index] = stream;
      stream.handle(0, this.#handling[0]);
      stream.handle(1, this.#handling[1]);
    }
  }

  /** By side. What nothing is asked of stays as it is. @throws NoInterfaceError */
  #locals(
    side: Side,
    endpoint: MediaEndpoint,
    interfaces: WantedInterfaces | undefined,
    current: Stream | undefined,
  ): [LocalAddress, LocalAddress] {
    const own = this.#local(
      { family: familyOf(endpoint), ...interfaces?.own },
      current?.locals[side],
      undefined,
    );
    const other = this.#local(interfaces?.other ?? {}, current?.locals[otherSide(side)], own.family);
    return side === 0 ? [own, other] : [other, own];
  }

  #local(
    wanted: Wanted,
    current: LocalAddress | undefined,
    preferredFamily: Family | undefined,
  ): LocalAddress {
    if (current?.fits(wanted)) {
      return current;
    }
    return this.sockets.interfaces.choose({
      ...wanted,
      name: wanted.name ?? (wanted.address === undefined ? current?.name : undefined),
      preferredFamily,
    });
  }

  /** It may have ended, or the whole relay stopped, while sockets were being opened. */
  #assertOpen(): void {
    if (this.#closed) {
      throw new RefusedError('The call has ended');
    }
  }

  #closeStream(index: number): void {
    this.streams[index]?.close();
    this.streams[index] = undefined;
  }
}

/** The version of IP by which the party is reached; undefined if it does not say where it is. */
function familyOf({ rtp: { address } }: MediaEndpoint): Family | undefined {
  const version = isUnspecified(address) ? 0 : isIP(address);
  return version === 4 || version === 6 ? version : undefined;
}
