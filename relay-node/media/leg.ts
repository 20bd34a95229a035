import type { RemoteInfo } from 'node:dgram';
import { isIP } from 'node:net';
import { isUnspecified } from '../../services/runtime/address.js';
import type { Traffic } from './counters.js';
import type { TransportAddress } from './endpoint.js';
import type { IceCredentials } from './ice/credentials.js';
import type { Family } from './interfaces.js';
import type { ForwardingPath, MediaPath, Offload } from './offload.js';
import { isRtcp, type Payload, silenced } from './packet.js';
import type { Side } from './side.js';
import type { LegState } from './state/call-state.js';
import { payloadTypeOf, type TelephoneEvent } from './telephone-event.js';

/** Where a packet comes from. */
export interface PacketOrigin {
  /** Of the party. */
  readonly side: Side;
  /** What is in it cannot be read. */
  readonly isEncrypted: boolean;
  readonly from: TransportAddress;
  /** The relay's own. */
  readonly to: TransportAddress;
}

/** Keeps a copy of packets; nobody waits for it. */
export interface PacketRecorder {
  record(packet: Buffer, origin: PacketOrigin): void;
}

/** What becomes of the RTP that a party sends. */
export type Handling = 'pass' | 'block' | 'silence';

/** Told about every packet that a party sends; the packet path makes no closure for it. */
export interface PacketListener {
  /** Undefined while nothing is recorded. */
  readonly recorder: PacketRecorder | undefined;
  /** By the monotonic clock. */
  readonly nowMs: number;
  /** @returns when, by the monotonic clock */
  packetRelayed(): number;
  /** Where a party is has been found out, or its packets are no longer seen here. */
  stateChanged(): void;
  /** The party of that side has pressed a key. @param address that it sends from */
  keyPressed(side: Side, event: TelephoneEvent, address: string): void;
}

/** RFC 7675 section 5.1. */
const consentMs = 30_000;

/** The port that a party is at. */
export interface Outlet {
  readonly port: number;
  /** Of its socket. */
  readonly address: string;
  readonly family: Family;
  readonly traffic: Traffic;
  /** What its packets consist of. */
  readonly payload: Payload;
  /** What takes its packets over from user space; undefined if nothing does. */
  readonly offload: Offload | undefined;
  send(packet: Buffer, port: number, address: string): void;
}

/**
 * One party at one port: it sends to the port, and what it is to hear leaves from there (symmetric RTP, RFC 4961).
 * Behind a NAT the party's signaled address is wrong, so the source of its first packet after each offer or answer is
 * believed instead, and from then on no other source. An asymmetric party sends from elsewhere than it receives: it hears where
 * it has signaled, and its source is learned for what comes from it alone.
 */
export class Leg {
  packets = 0;
  bytes = 0;
  /** Packets for the party that could not be sent, because its address is not known yet or it is on hold. */
  undelivered = 0;
  /** When the last packet of the party came, by the monotonic clock; of those in the kernel when it was counted. */
  lastPacketMs: number | undefined;
  /** Told about its RTCP. */
  onRtcp: ((packet: Buffer) => void) | undefined;
  /** Told about its telephone events. */
  onEvent: ((packet: Buffer) => void) | undefined;
  /** Payload types that are of telephone events. */
  eventTypes: readonly number[] = [];
  /** The parties have the keys of what it sends. */
  isEncrypted = false;
  /** Where packets to the party go; empty until it is known. */
  remoteAddress = '';
  remotePort = 0;
  /** Where its packets come from; what is here counts once that is learned. */
  #source: TransportAddress = { address: '', port: 0 };
  #isAsymmetric = false;
  #ice: IceCredentials | undefined;
  /** When the last check of ICE came. */
  #checkedAtMs = Number.NEGATIVE_INFINITY;
  #handling: Handling = 'pass';
  /** Something else is played to it. */
  #isHeld = false;
  #learned = false;
  #onHold = false;
  #signaled: TransportAddress | undefined;
  /** The other party of the same media. */
  #peer: Leg | undefined;
  /** Where its RTCP goes. */
  #rtcpPeer: Leg | undefined;

  constructor(
    private readonly outlet: Outlet,
    private readonly listener: PacketListener,
    private readonly side: Side,
  ) {}

  get signaled(): TransportAddress | undefined {
    return this.#signaled;
  }

  get isAsymmetric(): boolean {
    return this.#isAsymmetric;
  }

  /** Where its packets come from; undefined until one has come since it last signaled. */
  get source(): TransportAddress | undefined {
    return this.#learned ? this.#source : undefined;
  }

  /** A packet has come from the party since it last signaled. */
  get learned(): boolean {
    return this.#learned;
  }

  /** @param rtcpPeer where RTCP goes that shares the port with RTP */
  connect(peer: Leg, rtcpPeer = peer): void {
    this.#peer = peer;
    this.#rtcpPeer = rtcpPeer;
  }

  get traffic(): Traffic {
    return this.outlet.traffic;
  }

  disconnect(): void {
    this.takeBack();
    this.#peer = undefined;
    this.#rtcpPeer = undefined;
  }

  /** How its packets get to the other party. */
  get forwardingPath(): ForwardingPath {
    return this.outlet.offload?.carries(this) ? 'kernel' : 'userspace';
  }

  /**
   * The way of its packets, once both parties have been heard since they last signaled. Undefined before that, and where packets
   * are recorded, or not passed on as they come, or what they are is not known.
   */
  get path(): MediaPath | undefined {
    const peer = this.#peer;
    if (!this.#learned || !peer?.learned || peer.#onHold || this.outlet.payload === 'opaque') {
      return undefined;
    }
    if (!peer.#hasConsent || this.#handling !== 'pass' || peer.#isHeld || this.listener.recorder) {
      return undefined;
    }
    return {
      from: this.#source,
      at: { address: this.outlet.address, port: this.outlet.port },
      leaving: { address: peer.outlet.address, port: peer.outlet.port },
      to: { address: peer.remoteAddress, port: peer.remotePort },
      eventTypes: this.eventTypes,
    };
  }

  handedOver(): void {
    this.listener.stateChanged();
  }

  /** Packets of the party were forwarded without coming here. */
  countOffloaded(packets: number, bytes: number): void {
    const { traffic } = this.outlet;
    this.packets += packets;
    this.bytes += bytes;
    traffic.relayedPackets += packets;
    traffic.relayedBytes += bytes;
    traffic.kernelPackets += packets;
    traffic.kernelBytes += bytes;
    this.lastPacketMs = this.listener.packetRelayed();
  }

  /**
   * Where the party says it receives; undefined if it does not say, or must not be sent to. The same address again does
   * not unlearn a party behind a NAT: its real address stays in use until the next packet confirms or corrects it.
   * @param isAsymmetric it sends from another address
   */
  signal(remote: TransportAddress | undefined, isAsymmetric = false): void {
    this.takeBack();
    const changed = remote?.address !== this.#signaled?.address || remote?.port !== this.#signaled?.port;
    this.#signaled = remote;
    this.#isAsymmetric = isAsymmetric;
    // Where it is follows from its checks.
    this.#learned &&= this.#ice !== undefined;
    this.#onHold = remote !== undefined && isUnspecified(remote.address);
    if ((!changed && !isAsymmetric) || this.#learned) {
      return;
    }
    const usable =
      remote !== undefined && remote.port > 0 && !this.#onHold && isIP(remote.address) === this.outlet.family;
    this.remoteAddress = usable ? remote.address : '';
    this.remotePort = usable ? remote.port : 0;
  }

  /** Whether this source is known to be the party. */
  isFrom(remote: RemoteInfo): boolean {
    return this.#learned && remote.port === this.#source.port && remote.address === this.#source.address;
  }

  /**
   * Whether this source is what the party signaled. It is believed even after another one was: a packet that was still
   * on its way from the party's old address must not lock out the new one.
   */
  isSignaled(remote: RemoteInfo): boolean {
    return (
      this.#ice === undefined &&
      remote.port === this.#signaled?.port &&
      remote.address === this.#signaled.address
    );
  }

  get ice(): IceCredentials | undefined {
    return this.#ice;
  }

  /** Undefined if the party does not speak ICE. */
  useIce(ice: IceCredentials | undefined): void {
    if (ice?.ufrag !== this.#ice?.ufrag) {
      this.takeBack();
      this.#learned = false;
    }
    this.#ice = ice;
  }

  /** A check of the party has come from there. */
  checked(remote: RemoteInfo, isNominated: boolean): void {
    this.#checkedAtMs = this.listener.nowMs;
    if (!this.#learned || (isNominated && !this.isFrom(remote))) {
      this.learn(remote);
    }
  }

  /** Whoever speaks ICE and no longer checks is sent nothing (RFC 7675): its packets come back, so that this is so. */
  reviewConsent(): void {
    if (!this.#hasConsent && this.#peer?.forwardingPath === 'kernel') {
      this.takeBack();
    }
  }

  get #hasConsent(): boolean {
    return this.#ice === undefined || this.listener.nowMs - this.#checkedAtMs < consentMs;
  }

  learn({ address, port }: TransportAddress): void {
    this.takeBack();
    this.#learned = true;
    this.#source = { address, port };
    // A party that speaks ICE is where its checks come from.
    if (!this.#isAsymmetric || this.#ice) {
      this.remoteAddress = address;
      this.remotePort = port;
    }
    this.listener.stateChanged();
  }

  get state(): LegState {
    const counted = this.outlet.offload?.counted(this) ?? { packets: 0, bytes: 0 };
    return {
      signaled: this.#signaled,
      remote: { address: this.remoteAddress, port: this.remotePort },
      learned: this.#learned,
      ...(this.#isAsymmetric && { source: this.#source }),
      onHold: this.#onHold,
      packets: this.packets - counted.packets,
      bytes: this.bytes - counted.bytes,
    };
  }

  /** Its consent is that of its last check, which was about now. */
  restoreIce(ice: IceCredentials | undefined): void {
    this.#ice = ice;
    this.#checkedAtMs = this.listener.nowMs;
  }

  restore({ signaled, remote, source, learned, onHold, packets, bytes }: LegState): void {
    this.#signaled = signaled;
    this.#isAsymmetric = source !== undefined;
    this.#source = source ?? remote;
    this.remoteAddress = remote.address;
    this.remotePort = remote.port;
    this.#learned = learned;
    this.#onHold = onHold;
    this.packets = packets;
    this.bytes = bytes;
  }

  /** A packet of the party: counts it and passes it on to the other one. */
  relay(packet: Buffer): void {
    this.packets++;
    this.bytes += packet.length;
    this.lastPacketMs = this.listener.packetRelayed();
    const { recorder } = this.listener;
    if (recorder) {
      const { address, port } = this.outlet;
      recorder.record(packet, {
        ...{ side: this.side, isEncrypted: this.isEncrypted },
        ...{ from: this.#source, to: { address, port } },
      });
    }
    const isReport = isRtcp(packet);
    if (isReport) {
      this.onRtcp?.(packet);
    }
    const isEvent = !isReport && this.eventTypes.includes(payloadTypeOf(packet));
    if (isEvent) {
      this.onEvent?.(packet);
    }
    if (this.#handling !== 'pass' && !isReport) {
      this.#peer?.deliver(this.#handling === 'silence' ? silenced(packet) : undefined);
      return;
    }
    const peer = isReport ? this.#rtcpPeer : this.#peer;
    peer?.deliver(packet);
    // That it is seen here is no sign that the kernel does not forward the others.
    if (!isEvent) {
      this.outlet.offload?.forwarded(this, packet);
    }
  }

  /** From now on its packets are handled like this. */
  handle(handling: Handling): void {
    this.takeBack();
    this.#handling = handling;
  }

  /** Whether RTP of the other party is held back. */
  hold(isHeld: boolean): void {
    this.takeBack();
    this.#isHeld = isHeld;
  }

  /** Sends the party a packet of the relay's own. */
  emit(packet: Buffer): void {
    if (this.remotePort !== 0 && !this.#onHold && this.#hasConsent) {
      this.outlet.send(packet, this.remotePort, this.remoteAddress);
    }
  }

  /** Its packets, and those that go to it, come to user space again. */
  takeBack(): void {
    const { offload } = this.outlet;
    offload?.takeBack(this);
    if (this.#peer) {
      offload?.takeBack(this.#peer);
    }
  }

  /** @param packet undefined if it is held back */
  private deliver(packet: Buffer | undefined): void {
    if (packet !== undefined && this.#isHeld && !isRtcp(packet)) {
      return;
    }
    if (packet === undefined || this.remotePort === 0 || this.#onHold || !this.#hasConsent) {
      this.undelivered++;
      this.outlet.traffic.undeliveredPackets++;
      return;
    }
    this.outlet.send(packet, this.remotePort, this.remoteAddress);
  }
}
