import type { RemoteInfo, Socket } from 'node:dgram';
import type { Traffic } from './counters.js';
import { isStun, readCheck, roleConflict, success } from './ice/stun.js';
import type { Family, LocalAddress } from './interfaces.js';
import { Leg, type Outlet, type PacketListener } from './leg.js';
import type { Offload, OffloadHolder } from './offload.js';
import { isAcceptable, type Payload } from './packet.js';
import type { Side } from './side.js';

/**
 * One UDP port of the relay. Usually one party uses it. When several phones answer one offer, all were told the same
 * port, and each has a leg of its own, told apart by where its packets come from.
 */
export class MediaPort implements Outlet {
  /** Datagrams that were refused. */
  errors = 0;
  #legs: readonly Leg[] = [];
  #payload: Payload = 'rtp';
  #closed = false;

  constructor(
    readonly port: number,
    private readonly local: LocalAddress,
    readonly traffic: Traffic,
    private readonly socket: Socket,
    private readonly forwarding: OffloadHolder | undefined,
  ) {
    socket.on('message', (packet, remote) => this.#receive(packet, remote));
    // Linux reports no ICMP errors to unconnected sockets; what remains are send errors, counted where they arise.
    socket.on('error', () => {
      this.traffic.sendErrors++;
    });
  }

  get offload(): Offload | undefined {
    return this.forwarding?.offload;
  }

  get address(): string {
    return this.local.address;
  }

  get family(): Family {
    return this.local.family;
  }

  get payload(): Payload {
    return this.#payload;
  }

  get inUse(): boolean {
    return this.#legs.length > 0;
  }

  addLeg(listener: PacketListener, side: Side): Leg {
    const leg = new Leg(this, listener, side);
    this.#legs = [...this.#legs, leg];
    return leg;
  }

  removeLeg(leg: Leg): void {
    this.#legs = this.#legs.filter((other) => other !== leg);
  }

  expect(payload: Payload): void {
    this.#payload = payload;
  }

  send(packet: Buffer, port: number, address: string): void {
    if (this.#closed) {
      this.traffic.undeliveredPackets++;
      return;
    }
    this.traffic.relayedPackets++;
    this.traffic.relayedBytes += packet.length;
    this.socket.send(packet, port, address);
  }

  close(): void {
    if (!this.#closed) {
      this.#closed = true;
      this.socket.close();
    }
  }

  #receive(packet: Buffer, remote: RemoteInfo): void {
    if (isStun(packet) && this.#answerCheck(packet, remote)) {
      return;
    }
    if (!isAcceptable(packet, this.#payload) || remote.port === 0) {
      this.errors++;
      this.traffic.malformedPackets++;
      return;
    }
    const leg = this.#known(remote) ?? this.#learn(remote);
    if (!leg) {
      this.errors++;
      this.traffic.foreignPackets++;
      return;
    }
    leg.relay(packet);
  }

  /** @returns false if it is no check of a party, or of one that does not speak ICE */
  #answerCheck(packet: Buffer, remote: RemoteInfo): boolean {
    const parties = this.#legs.filter(({ ice }) => ice !== undefined);
    const check = parties.length > 0 && remote.port !== 0 ? readCheck(packet) : undefined;
    if (!check) {
      return false;
    }
    const [own, theirs] = check.username.split(':', 2);
    const ofName = parties.filter(({ ice }) => ice?.ufrag === own);
    // A party that has not answered yet is the newest.
    const leg =
      ofName.find(({ ice }) => ice?.remoteUfrag === theirs) ??
      ofName.findLast(({ ice }) => ice?.remoteUfrag === undefined);
    const password = leg?.ice?.password;
    if (!leg || password === undefined || !check.isSignedWith(password)) {
      return false;
    }
    if (check.isFromControlled) {
      this.#reply(roleConflict(check, password), remote);
      return true;
    }
    this.#reply(success(check, remote, password), remote);
    leg.checked(remote, check.isNominated);
    return true;
  }

  /** It is no media, and not counted among them. */
  #reply(packet: Buffer, { port, address }: RemoteInfo): void {
    if (!this.#closed) {
      this.socket.send(packet, port, address);
    }
  }

  #known(remote: RemoteInfo): Leg | undefined {
    for (const leg of this.#legs) {
      if (leg.isFrom(remote)) {
        return leg;
      }
    }
    return undefined;
  }

  /** The party that signaled this source, else one that has not been heard yet: that of this host, or the newest. */
  #learn(remote: RemoteInfo): Leg | undefined {
    const unheard = this.#legs.filter(({ learned, ice }) => !learned && ice === undefined);
    const leg =
      this.#legs.find((candidate) => candidate.isSignaled(remote)) ??
      unheard.find((candidate) => candidate.signaled?.address === remote.address) ??
      unheard.at(-1);
    leg?.learn(remote);
    return leg;
  }
}
