import type { RemoteInfo, Socket } from 'node:dgram';
import { isIP } from 'node:net';
import { isUnspecified, type TransportAddress } from '../control/ng/sdp.js';
import type { Traffic } from './counters.js';
import { isAcceptable, type Payload } from './packet.js';

/** Told about every packet that a party sends; the packet path makes no closure for it. */
export interface PacketListener {
  packetRelayed(): void;
}

/**
 * One UDP port of the relay and the party that uses it: the party sends here, and what it is to hear
 * leaves from here (symmetric RTP, RFC 4961). Behind a NAT the party's SDP is wrong, so the source of its
 * first packet after each offer or answer is believed instead, and from then on no other source.
 */
export class MediaPort {
  packets = 0;
  bytes = 0;
  errors = 0;
  /** Where the party's packets go to; empty until it is known. */
  remoteAddress = '';
  remotePort = 0;
  #learned = false;
  #onHold = false;
  #signaled: TransportAddress | undefined;
  #peer: MediaPort | undefined;
  #payload: Payload = 'rtp';
  #closed = false;

  constructor(
    readonly port: number,
    private readonly socket: Socket,
    private readonly family: 4 | 6,
    private readonly traffic: Traffic,
    private readonly listener: PacketListener,
  ) {
    socket.on('message', (packet, remote) => this.#receive(packet, remote));
    // Linux tells unconnected sockets nothing of ICMP; what remains are send errors, counted where they arise.
    socket.on('error', () => {
      this.traffic.sendErrors++;
    });
  }

  connect(peer: MediaPort, payload: Payload): void {
    this.#peer = peer;
    this.#payload = payload;
  }

  get signaled(): TransportAddress | undefined {
    return this.#signaled;
  }

  get learned(): boolean {
    return this.#learned;
  }

  /**
   * What the party's SDP says. The same words again do not unlearn a NATed party's real address: it stays
   * in use until the next packet confirms or corrects it.
   */
  signal(remote: TransportAddress | undefined): void {
    const changed = remote?.address !== this.#signaled?.address || remote?.port !== this.#signaled?.port;
    this.#signaled = remote;
    this.#learned = false;
    this.#onHold = remote !== undefined && isUnspecified(remote.address);
    if (!changed) {
      return;
    }
    const usable =
      remote !== undefined && remote.port > 0 && !this.#onHold && isIP(remote.address) === this.family;
    this.remoteAddress = usable ? remote.address : '';
    this.remotePort = usable ? remote.port : 0;
  }

  close(): void {
    if (this.#closed) {
      return;
    }
    this.#closed = true;
    this.#peer = undefined;
    this.socket.close();
  }

  #receive(packet: Buffer, remote: RemoteInfo): void {
    if (!isAcceptable(packet, this.#payload) || remote.port === 0) {
      this.errors++;
      this.traffic.malformedPackets++;
      return;
    }
    if (!this.#learned || remote.port !== this.remotePort || remote.address !== this.remoteAddress) {
      if (!this.#mayLearn(remote)) {
        this.errors++;
        this.traffic.foreignPackets++;
        return;
      }
      this.#learned = true;
      this.remoteAddress = remote.address;
      this.remotePort = remote.port;
    }
    this.packets++;
    this.bytes += packet.length;
    this.listener.packetRelayed();
    this.#peer?.send(packet);
  }

  /**
   * Besides the first source after an offer or answer, the signaled address itself is always believed: a
   * packet that was still on its way from the party's old address must not lock out the new one.
   */
  #mayLearn(remote: RemoteInfo): boolean {
    if (!this.#learned) {
      return true;
    }
    return remote.port === this.#signaled?.port && remote.address === this.#signaled.address;
  }

  private send(packet: Buffer): void {
    if (this.#closed || this.remotePort === 0 || this.#onHold) {
      this.traffic.undeliveredPackets++;
      return;
    }
    this.traffic.relayedPackets++;
    this.traffic.relayedBytes += packet.length;
    this.socket.send(packet, this.remotePort, this.remoteAddress);
  }
}
