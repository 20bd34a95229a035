import { isUnspecified } from '../../services/runtime/address.js';
import type { Traffic } from './counters.js';
import type { Direction, MediaEndpoint, TransportAddress } from './endpoint.js';
import { RefusedError } from './errors.js';
import { type IceCredentials, IceNegotiation, type IcePolicy } from './ice/credentials.js';
import type { LocalAddress } from './interfaces.js';
import type { Handling, Leg, PacketListener } from './leg.js';
import { bandOf, QualityHistory, qualityOf, reportsIn } from './quality.js';
import { noMuxPolicy, RtcpMux } from './rtcp-mux.js';
import { otherSide, type Side } from './side.js';
import type { MediaSockets, PortPair } from './sockets.js';
import type { StreamState } from './state/call-state.js';
import { type EventFormat, EventReader } from './telephone-event.js';

/** Of telephony. */
const defaultClockRate = 8000;
/** Of which the quality is kept. */
const maxSources = 8;

/** A party's two ports for one media, and the party at each of them. */
export interface StreamSide {
  readonly pair: PortPair;
  readonly rtp: Leg;
  readonly rtcp: Leg;
}

/**
 * One relayed media of a dialog: a port pair for each party, each forwarding to the other. Where RTCP shares the port of RTP with
 * one party alone, it is told apart by its packet type, and joined again on the way back.
 */
export class Stream {
  readonly sides: readonly [StreamSide, StreamSide];
  type: string;
  protocol: string;
  /** By what each party last signaled. */
  readonly #mux = new RtcpMux();
  readonly #ice = new IceNegotiation();
  /** Payload types that each party last signaled. */
  readonly #formats: [readonly number[], readonly number[]] = [[], []];
  /** Of these, those of telephone events. */
  readonly #events: [readonly EventFormat[], readonly EventFormat[]] = [[], []];
  /** By source. */
  readonly quality = new Map<number, QualityHistory>();
  #clockRate = defaultClockRate;
  readonly #quiet: [boolean, boolean] = [false, false];
  #closed = false;

  private constructor(
    pairs: readonly [PortPair, PortPair],
    private readonly sockets: MediaSockets,
    media: Pick<MediaEndpoint, 'type' | 'protocol'>,
    listener: PacketListener,
  ) {
    const at = (side: Side): StreamSide => {
      const pair = pairs[side];
      return { pair, rtp: pair.rtp.addLeg(listener, side), rtcp: pair.rtcp.addLeg(listener, side) };
    };
    this.sides = [at(0), at(1)];
    this.type = media.type;
    this.protocol = media.protocol;
    this.#noteKeys();
    this.#connect();
    for (const side of [0, 1] as const) {
      const { rtp, rtcp } = this.sides[side];
      const onRtcp = (packet: Buffer) => this.#noteReports(packet, rtp.traffic);
      rtp.onRtcp = onRtcp;
      rtcp.onRtcp = onRtcp;
      const events = new EventReader();
      rtp.onEvent = (packet) => {
        const event = events.read(packet, this.#events.flat());
        if (event) {
          listener.keyPressed(side, event, rtp.source?.address ?? '');
        }
      };
    }
  }

  /** @param locals by side @throws OutOfPortsError; then nothing is left open */
  static async open(
    sockets: MediaSockets,
    locals: readonly [LocalAddress, LocalAddress],
    media: MediaEndpoint,
    listener: PacketListener,
  ): Promise<Stream> {
    const first = await sockets.open(locals[0]);
    try {
      const stream = new Stream([first, await sockets.open(locals[1])], sockets, media, listener);
      stream.#expect(media);
      return stream;
    } catch (error) {
      sockets.release(first);
      throw error;
    }
  }

  /**
   * The same media with another party that answered the same offer: it was told the same port. The offerer gets a port of
   * its own for each of them, by which its packets find the right one. @throws OutOfPortsError
   */
  async fork(listener: PacketListener): Promise<Stream> {
    const [offerer, answerer] = this.sides;
    const pair = await this.sockets.open(offerer.pair.local);
    if (this.#closed) {
      this.sockets.release(pair);
      throw new RefusedError('The call has ended');
    }
    const stream = new Stream([pair, answerer.pair], this.sockets, this, listener);
    stream.sides[0].rtp.signal(offerer.rtp.signaled, offerer.rtp.isAsymmetric);
    stream.sides[0].rtcp.signal(offerer.rtcp.signaled, offerer.rtcp.isAsymmetric);
    stream.#quiet[0] = this.#quiet[0];
    stream.#formats[0] = this.#formats[0];
    stream.#expectEvents(0, this.#events[0]);
    stream.#mux.restore(this.#mux.state);
    const [ofOfferer, told] = this.#ice.sides;
    stream.#ice.restore([ofOfferer, told && { ...told, remoteUfrag: undefined }]);
    stream.#useIce();
    stream.#connect();
    return stream;
  }

  /** @throws OutOfPortsError, NoInterfaceError; then nothing is left open */
  static async restore(sockets: MediaSockets, state: StreamState, listener: PacketListener): Promise<Stream> {
    const reopen = ({ interface: name, address, port }: StreamState['sides'][0]) =>
      sockets.reopen(sockets.interfaces.choose({ name, address }), port);
    const first = await reopen(state.sides[0]);
    try {
      const pairs = [first, await reopen(state.sides[1])] as const;
      const stream = new Stream(pairs, sockets, state, listener);
      for (const side of [0, 1] as const) {
        const { payload, rtp, rtcp, events } = state.sides[side];
        pairs[side].rtp.expect(payload);
        pairs[side].rtcp.expect(payload);
        stream.sides[side].rtp.restore(rtp);
        stream.sides[side].rtcp.restore(rtcp);
        stream.#quiet[side] = state.quiet[side];
        stream.#formats[side] = state.sides[side].formats;
        stream.#expectEvents(side, events);
      }
      stream.#mux.restore(state.mux);
      stream.#ice.restore([state.sides[0].ice, state.sides[1].ice]);
      for (const side of [0, 1] as const) {
        stream.sides[side].rtp.restoreIce(state.sides[side].ice);
        stream.sides[side].rtcp.restoreIce(state.sides[side].ice);
      }
      stream.#connect();
      return stream;
    } catch (error) {
      sockets.release(first);
      throw error;
    }
  }

  /** The relay's addresses that it has, by side. */
  get locals(): readonly [LocalAddress, LocalAddress] {
    const [one, other] = this.sides;
    return [one.pair.local, other.pair.local];
  }

  get state(): StreamState {
    const [one, other] = this.sides.map(({ pair, rtp, rtcp }, side) => ({
      formats: [...(this.#formats[side] ?? [])],
      events: [...(this.#events[side] ?? [])],
      ice: this.#ice.sides[side],
      interface: pair.local.name,
      address: pair.local.address,
      port: pair.rtp.port,
      payload: pair.rtp.payload,
      rtp: rtp.state,
      rtcp: rtcp.state,
    }));
    const sides = [one, other] as StreamState['sides'];
    const { state: mux } = this.#mux;
    return { type: this.type, protocol: this.protocol, quiet: [...this.#quiet], mux, sides };
  }

  /** The parties have the keys. */
  get isEncrypted(): boolean {
    return /SAVP/i.test(this.protocol);
  }

  /** Takes in what a party signals. */
  signal(side: Side, media: MediaEndpoint): void {
    this.type = media.type;
    this.protocol = media.protocol;
    this.#noteKeys();
    this.#expect(media);
    const { rtp, rtcp } = this.sides[side];
    rtp.signal(this.#reachable(media.rtp), media.isAsymmetric);
    rtcp.signal(this.#reachable(media.rtcp), media.isAsymmetric);
    this.#formats[side] = media.formats;
    this.#expectEvents(side, media.events ?? []);
    this.#clockRate = media.clockRate ?? defaultClockRate;
    this.#quiet[side] = isUnspecified(media.rtp.address) || expectsSilence(media.direction);
  }

  /** @returns whether the other party is to be told that RTCP shares the port of RTP */
  negotiateMux(kind: 'offer' | 'answer', side: Side, media: MediaEndpoint, policy = noMuxPolicy): boolean {
    if (kind === 'offer') {
      return this.#mux.offer(side, media.rtcpMux, policy);
    }
    const told = this.#mux.answer(side, media.rtcpMux);
    this.#connect();
    return told;
  }

  /** @returns what the other party is to be told; undefined if it is to use no ICE */
  negotiateIce(
    kind: 'offer' | 'answer',
    side: Side,
    media: MediaEndpoint,
    policy: IcePolicy,
  ): IceCredentials | undefined {
    if (kind === 'offer') {
      this.#ice.offer(side, media.iceUfrag, policy, media.payload === 'dtls-srtp');
    } else {
      this.#ice.answer(side, media.iceUfrag);
    }
    this.#useIce();
    return this.#ice.sides[otherSide(side)];
  }

  /** What is not sent to a party any more, because it no longer checks. */
  reviewConsent(): void {
    for (const { rtp } of this.sides) {
      rtp.reviewConsent();
    }
  }

  #noteKeys(): void {
    for (const { rtp, rtcp } of this.sides) {
      rtp.isEncrypted = this.isEncrypted;
      rtcp.isEncrypted = this.isEncrypted;
    }
  }

  /** Of what is encrypted none can be read. A party uses the payload types of the other one, or its own. */
  #expectEvents(side: Side, formats: readonly EventFormat[]): void {
    this.#events[side] = this.isEncrypted ? [] : formats;
    const types = [...new Set(this.#events.flat().map(({ type }) => type))];
    for (const { rtp } of this.sides) {
      rtp.eventTypes = types;
    }
  }

  /** What is encrypted says nothing. */
  #noteReports(packet: Buffer, traffic: Traffic): void {
    if (this.isEncrypted) {
      return;
    }
    for (const report of reportsIn(packet)) {
      const quality = qualityOf(report, this.#clockRate);
      traffic.receptionReports[bandOf(quality)]++;
      const history = this.quality.get(report.ssrc);
      if (history) {
        history.add(quality);
      } else if (this.quality.size < maxSources) {
        this.quality.set(report.ssrc, new QualityHistory(quality));
      }
    }
  }

  #useIce(): void {
    for (const side of [0, 1] as const) {
      const { rtp, rtcp } = this.sides[side];
      rtp.useIce(this.#ice.sides[side]);
      rtcp.useIce(this.#ice.sides[side]);
    }
  }

  /** What becomes of the RTP of one party. What is encrypted cannot be silenced, and is blocked. */
  handle(side: Side, handling: Handling): void {
    this.sides[side].rtp.handle(handling === 'silence' && this.isEncrypted ? 'block' : handling);
  }

  /** Payload types that a party takes, those first that the other one has, too. */
  formatsOf(side: Side): readonly number[] {
    const [own, other] = [this.#formats[side], this.#formats[otherSide(side)]];
    return [...own.filter((type) => other.includes(type)), ...own];
  }

  /** Of what is played to a party. */
  listener(side: Side): Leg {
    return this.sides[side].rtp;
  }

  /** All of it comes to user space again, and stays there while it is recorded. */
  takeBack(): void {
    for (const { rtp } of this.sides) {
      rtp.takeBack();
    }
  }

  /** Silence is to be expected: one of the parties sends nothing, or asked to be sent nothing. */
  get quiet(): boolean {
    return this.#quiet[0] || this.#quiet[1];
  }

  close(): void {
    this.#closed = true;
    for (const { pair, rtp, rtcp } of this.sides) {
      rtp.disconnect();
      rtcp.disconnect();
      pair.rtp.removeLeg(rtp);
      pair.rtcp.removeLeg(rtcp);
      this.sockets.release(pair);
    }
  }

  #connect(): void {
    for (const side of [0, 1] as const) {
      const [own, other] = [this.sides[side], this.sides[otherSide(side)]];
      const [isMuxed, isOtherMuxed] = [this.#mux.sides[side], this.#mux.sides[otherSide(side)]];
      own.rtp.connect(other.rtp, isMuxed && !isOtherMuxed ? other.rtcp : other.rtp);
      own.rtcp.connect(isOtherMuxed && !isMuxed ? other.rtp : other.rtcp);
    }
  }

  #expect({ payload }: MediaEndpoint): void {
    for (const { pair } of this.sides) {
      pair.rtp.expect(payload);
      pair.rtcp.expect(payload);
    }
  }

  /** Never the stream's own ports: a packet sent there would come back for ever. */
  #reachable(remote: TransportAddress): TransportAddress | undefined {
    const own = this.sides.some(
      ({ pair }) => pair.rtp.port === remote.port || pair.rtcp.port === remote.port,
    );
    return own && this.sockets.interfaces.isOwn(remote.address) ? undefined : remote;
  }
}

function expectsSilence(direction: Direction): boolean {
  return direction !== 'sendrecv';
}
