import { createSocket, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { numericLookup } from '../../services/control/udp/sockets.js';
import type { Traffic } from './counters.js';
import { OutOfPortsError } from './errors.js';
import { MediaPort } from './media-port.js';
import type { Offload } from './offload.js';
import type { PortPool } from './port-pool.js';

/** An even port for RTP and the next one for RTCP (RFC 3550 section 11). */
export interface PortPair {
  readonly rtp: MediaPort;
  readonly rtcp: MediaPort;
}

/** Other programs may hold ports of the range; so many of them are skipped before giving up. */
const maxBusyPairs = 64;

/** Opens and closes the sockets of port pairs, and keeps the pool's books in step with them. */
export class MediaSockets {
  readonly #pool: PortPool;
  readonly #address: string;
  readonly #advertised: string;
  readonly #traffic: Traffic;
  /** By their even port. */
  readonly #open = new Map<number, PortPair>();
  /** For RTP ports; RTCP is rare, and stays in user space. */
  offload: Offload | undefined;

  constructor(pool: PortPool, address: string, advertised: string, traffic: Traffic) {
    this.#pool = pool;
    this.#address = address;
    this.#advertised = advertised;
    this.#traffic = traffic;
  }

  /** The address of the sockets. */
  get address(): string {
    return this.#address;
  }

  /** The address that parties are told. */
  get advertised(): string {
    return this.#advertised;
  }

  isOwn(address: string): boolean {
    return address === this.#address || address === this.#advertised;
  }

  /** Pairs whose sockets are open. */
  get openPairs(): number {
    return this.#open.size;
  }

  /** Proves that the address is this machine's, before any call depends on it. @throws the system's error */
  async check(): Promise<void> {
    const socket = await this.#bind(0);
    socket.close();
  }

  /** @throws OutOfPortsError */
  async open(): Promise<PortPair> {
    for (let tries = Math.min(this.#pool.free, maxBusyPairs); tries > 0; tries--) {
      const port = this.#pool.take();
      if (port === undefined) {
        break;
      }
      const pair = await this.#openPair(port);
      if (pair) {
        return pair;
      }
    }
    throw new OutOfPortsError();
  }

  /** The pair that another process has had; that of a fork is open already. @throws OutOfPortsError if it is taken */
  async reopen(port: number): Promise<PortPair> {
    const open = this.#open.get(port) ?? (this.#pool.takeThis(port) ? await this.#openPair(port) : undefined);
    if (!open) {
      throw new OutOfPortsError();
    }
    return open;
  }

  /** Closes the pair, unless other parties still use it. */
  release({ rtp, rtcp }: PortPair): void {
    if (rtp.inUse || rtcp.inUse) {
      return;
    }
    rtp.close();
    rtcp.close();
    this.#open.delete(rtp.port);
    this.#pool.giveBack(rtp.port);
  }

  /** Undefined if another program has one of the ports. */
  async #openPair(port: number): Promise<PortPair | undefined> {
    const sockets: Socket[] = [];
    try {
      sockets.push(await this.#bind(port));
      sockets.push(await this.#bind(port + 1));
    } catch (error) {
      for (const socket of sockets) {
        socket.close();
      }
      this.#pool.giveBack(port);
      if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') {
        return undefined;
      }
      throw error;
    }
    const family = isIPv6(this.#address) ? 6 : 4;
    const [rtp, rtcp] = sockets.map((socket, index) => {
      const forwarding = index === 0 ? this : undefined;
      return new MediaPort(port + index, family, this.#traffic, socket, forwarding);
    });
    const pair = { rtp: rtp as MediaPort, rtcp: rtcp as MediaPort };
    this.#open.set(port, pair);
    return pair;
  }

  #bind(port: number): Promise<Socket> {
    const type = isIPv6(this.#address) ? 'udp6' : 'udp4';
    const socket = createSocket({ type, ipv6Only: type === 'udp6', lookup: numericLookup });
    return new Promise((resolve, reject) => {
      socket.once('error', (error) => {
        socket.close();
        reject(error);
      });
      socket.bind({ address: this.#address, port, exclusive: true }, () => {
        socket.removeAllListeners('error');
        resolve(socket);
      });
    });
  }
}
