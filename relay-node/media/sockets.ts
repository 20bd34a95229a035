import { createSocket, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import { numericLookup } from '../../services/control/udp/sockets.js';
import { listenError } from '../../services/runtime/address.js';
import type { Traffic } from './counters.js';
import { OutOfPortsError } from './errors.js';
import type { LocalAddress, MediaInterfaces } from './interfaces.js';
import { MediaPort } from './media-port.js';
import type { Offload } from './offload.js';
import type { PortPool } from './port-pool.js';

/** An even port for RTP and the next one for RTCP (RFC 3550 section 11). */
export interface PortPair {
  readonly local: LocalAddress;
  readonly rtp: MediaPort;
  readonly rtcp: MediaPort;
}

/** Other programs may hold ports of the range; so many of them are skipped before giving up. */
const maxBusyPairs = 64;

/** Opens and closes the sockets of port pairs, and keeps the pool's books in step with them. */
export class MediaSockets {
  readonly interfaces: MediaInterfaces;
  /** No two addresses have the same port at a time, so that a port tells which one it is. */
  readonly #pool: PortPool;
  readonly #traffic: Traffic;
  /** By their even port. */
  readonly #open = new Map<number, PortPair>();
  /** For RTP ports; RTCP is rare, and stays in user space. */
  offload: Offload | undefined;

  constructor(pool: PortPool, interfaces: MediaInterfaces, traffic: Traffic) {
    this.#pool = pool;
    this.interfaces = interfaces;
    this.#traffic = traffic;
  }

  /** Pairs whose sockets are open. */
  get openPairs(): number {
    return this.#open.size;
  }

  /** Proves that the addresses are this machine's, before any call depends on them. @throws Error naming one that is not */
  async check(): Promise<void> {
    for (const { address } of this.interfaces.all) {
      const socket = await this.#bind(address, 0).catch((error) => {
        throw listenError('media', { host: address, port: 0 }, error);
      });
      socket.close();
    }
  }

  /** @throws OutOfPortsError */
  async open(local: LocalAddress): Promise<PortPair> {
    for (let tries = Math.min(this.#pool.free, maxBusyPairs); tries > 0; tries--) {
      const port = this.#pool.take();
      if (port === undefined) {
        break;
      }
      const pair = await this.#openPair(local, port);
      if (pair) {
        return pair;
      }
    }
    throw new OutOfPortsError();
  }

  /** The pair that another process has had; that of a fork is open already. @throws OutOfPortsError if it is taken */
  async reopen(local: LocalAddress, port: number): Promise<PortPair> {
    const open =
      this.#open.get(port) ?? (this.#pool.takeThis(port) ? await this.#openPair(local, port) : undefined);
    if (!open) {
      throw new OutOfPortsError();
    }
    return open;
  }

  /** Closes the pair, unless other parties still use it. */
  release({ local, rtp, rtcp }: PortPair): void {
    if (rtp.inUse || rtcp.inUse || !this.#open.has(rtp.port)) {
      return;
    }
    local.openPairs--;
    rtp.close();
    rtcp.close();
    this.#open.delete(rtp.port);
    this.#pool.giveBack(rtp.port);
  }

  /** Undefined if another program has one of the ports. */
  async #openPair(local: LocalAddress, port: number): Promise<PortPair | undefined> {
    const sockets: Socket[] = [];
    try {
      sockets.push(await this.#bind(local.address, port));
      sockets.push(await this.#bind(local.address, port + 1));
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
    const [rtp, rtcp] = sockets.map((socket, index) => {
      const forwarding = index === 0 ? this : undefined;
      return new MediaPort(port + index, local, this.#traffic, socket, forwarding);
    });
    const pair = { local, rtp: rtp as MediaPort, rtcp: rtcp as MediaPort };
    local.openPairs++;
    this.#open.set(port, pair);
    return pair;
  }

  #bind(address: string, port: number): Promise<Socket> {
    const type = isIPv6(address) ? 'udp6' : 'udp4';
    const socket = createSocket({ type, ipv6Only: type === 'udp6', lookup: numericLookup });
    return new Promise((resolve, reject) => {
      socket.once('error', (error) => {
        socket.close();
        reject(error);
      });
      socket.bind({ address, port, exclusive: true }, () => {
        socket.removeAllListeners('error');
        resolve(socket);
      });
    });
  }
}
