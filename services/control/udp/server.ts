import type { RemoteInfo, Socket } from 'node:dgram';
import { type Address, formatAddress } from '../../runtime/address.js';
import { type Clock, sleep, systemClock } from '../../runtime/clock.js';
import { type Logger, silentLogger } from '../../runtime/log.js';
import { Standstill, wholeTurn } from '../../runtime/standstill.js';
import type { Reading } from '../protocol.js';
import { joinDatagram, maxDatagramBytes, splitDatagram } from './datagram.js';
import { ReplyCache } from './reply-cache.js';
import { bindSocket, localAddress } from './sockets.js';

export interface UdpSource {
  readonly address: string;
  readonly port: number;
  /** Which of the server's addresses was asked: its place in `listen`. */
  readonly listener: number;
  /** That of the request, and of its reply. */
  readonly cookie: string;
}

/** What the server needs of a protocol. Bodies are datagrams without their cookie. */
export interface UdpService<Request> {
  /** As people call it: in errors and log lines. */
  readonly protocol: string;
  read(body: Buffer): Reading<Request>;
  /** @returns the body of the reply */
  handle(request: Request, source: UdpSource): Promise<Buffer>;
  /** The body of the reply that says why a request is not served. */
  refuse(request: Request, reason: string): Buffer;
}

export interface UdpServerOptions<Request> {
  /** Port 0 lets the system choose; see `addresses()`. */
  readonly listen: readonly Address[];
  /** Descriptors of UDP sockets that are bound already, for the first addresses of `listen`, in their order. */
  readonly passed?: readonly number[];
  readonly service: UdpService<Request>;
  /** Datagrams from other sources are counted and dropped without a reply. Default: everybody is served. */
  readonly accept?: (address: string) => boolean;
  /** Requests being handled at the same time, and their bytes. Defaults: 1024, 8 MiB. */
  readonly maxInFlight?: number;
  readonly maxInFlightBytes?: number;
  /** Kept replies. Defaults: 30 s, 16,384 of them, 16 MiB. */
  readonly replyTtlMs?: number;
  readonly maxReplies?: number;
  readonly maxReplyBytes?: number;
  readonly clock?: Clock;
  readonly log?: Logger;
}

export interface UdpServerCounters {
  received: number;
  replied: number;
  /** Retransmissions answered from the cache. */
  duplicates: number;
  /** Retransmissions of requests that are still being handled: ignored, the reply is on its way. */
  duplicatesInFlight: number;
  /** With a cookie, but no request that could be served: answered with an error. */
  malformed: number;
  /** Not answered: no cookie, a reply instead of a request, an impossible source. */
  dropped: number;
  /** From a source that is not accepted. */
  notAccepted: number;
  /** Not answered: they may have come before the process stood still, and their senders have asked again or elsewhere. */
  old: number;
  overloaded: number;
  handlerErrors: number;
  oversizedReplies: number;
  socketErrors: number;
}

/** Proxies wait a second for an answer (rtpengine_tout and rtpproxy_tout of Kamailio, by default), then ask again or elsewhere. */
const standstillMs = 1000;
/** How long stop() waits for a moment in which no request comes. */
const stopGraceMs = 1000;

/**
 * The other side of transactions over UDP. A copy of a request is recognized by the address that it came to, the address that
 * it came from, and its cookie: it is not carried out twice, and gets the reply that the first one got.
 */
export class UdpServer<Request> {
  readonly counters: UdpServerCounters = {
    received: 0,
    replied: 0,
    duplicates: 0,
    duplicatesInFlight: 0,
    malformed: 0,
    dropped: 0,
    notAccepted: 0,
    old: 0,
    overloaded: 0,
    handlerErrors: 0,
    oversizedReplies: 0,
    socketErrors: 0,
  };
  readonly #options: UdpServerOptions<Request>;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #maxInFlight: number;
  readonly #maxInFlightBytes: number;
  readonly #cache: ReplyCache;
  readonly #inFlight = new Map<string, Promise<void>>();
  #inFlightBytes = 0;
  readonly #standstill: Standstill;
  #sockets: Socket[] = [];
  #addresses: Address[] = [];
  #stopping: Promise<void> | undefined;

  constructor(options: UdpServerOptions<Request>) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#log = options.log ?? silentLogger;
    this.#standstill = new Standstill(this.#clock, standstillMs);
    this.#maxInFlight = options.maxInFlight ?? 1024;
    this.#maxInFlightBytes = options.maxInFlightBytes ?? 8 << 20;
    this.#cache = new ReplyCache(this.#clock, {
      ttlMs: options.replyTtlMs ?? 30_000,
      maxEntries: options.maxReplies ?? 16_384,
      maxBytes: options.maxReplyBytes ?? 16 << 20,
    });
  }

  /** The addresses in use, in the order of `listen`, with the ports that the system chose. */
  addresses(): readonly Address[] {
    return this.#addresses;
  }

  get inFlight(): number {
    return this.#inFlight.size;
  }

  /** Opens all addresses or none. @throws Error naming the address that cannot be listened on */
  async start(): Promise<void> {
    this.#standstill.start();
    try {
      const { listen, passed = [], service } = this.#options;
      for (const [i, address] of listen.entries()) {
        this.#serve(await bindSocket(address, service.protocol, passed[i]), i);
      }
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /**
   * Goes on serving until nothing is in flight and nothing more has come, for a second at most, then closes the sockets.
   * A request to a closed port is refused at once, and its sender can go elsewhere; one that is read and not answered
   * costs it a timeout.
   */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    const cut = new AbortController();
    let over = false;
    const grace = sleep(this.#clock, stopGraceMs, cut.signal).then(() => {
      over = true;
    });
    for (let seen = -1; !over && (this.#inFlight.size > 0 || seen !== this.counters.received); ) {
      seen = this.counters.received;
      await Promise.race([Promise.all(this.#inFlight.values()), grace]);
      await wholeTurn();
    }
    cut.abort();
    this.#standstill.stop();
    const sockets = this.#sockets;
    this.#sockets = [];
    await Promise.all(sockets.map((socket) => new Promise<void>((resolve) => socket.close(() => resolve()))));
    this.#cache.clear();
  }

  #serve(socket: Socket, listener: number): void {
    const local = localAddress(socket);
    const localName = formatAddress(local);
    socket.on('error', (error) => this.#socketFailed(error, localName));
    socket.on('message', (datagram, remote) =>
      this.#receive({ socket, localName, listener }, datagram, remote),
    );
    this.#sockets.push(socket);
    this.#addresses.push(local);
  }

  #receive(at: Listener, datagram: Buffer, remote: RemoteInfo): void {
    this.counters.received++;
    if (this.#standstill.isOld()) {
      this.counters.old++;
      return;
    }
    // A forged datagram may claim port 0, to which nothing can be sent.
    if (remote.port === 0) {
      this.counters.dropped++;
      return;
    }
    if (this.#options.accept && !this.#options.accept(remote.address)) {
      this.counters.notAccepted++;
      return;
    }
    const parts = splitDatagram(datagram);
    if (!parts) {
      this.counters.dropped++;
      return;
    }
    const { cookie, body } = parts;
    // The source belongs to the key: two proxies may well use the same cookie for two different calls.
    const key = `${at.localName} ${remote.address} ${remote.port} ${cookie}`;
    if (this.#inFlight.has(key)) {
      this.counters.duplicatesInFlight++;
      return;
    }
    const known = this.#cache.get(key);
    if (known) {
      this.counters.duplicates++;
      this.#send(at, known, remote);
      return;
    }
    const request = this.#read(at, cookie, body, remote);
    if (!request) {
      return;
    }
    const isFull = this.#inFlight.size >= this.#maxInFlight;
    if (isFull || this.#inFlightBytes + datagram.length > this.#maxInFlightBytes) {
      this.counters.overloaded++;
      const refusal = this.#options.service.refuse(request, 'Too many requests');
      this.#send(at, joinDatagram(cookie, refusal), remote);
      return;
    }
    const handled = this.#handle(request, { cookie, at, remote }).then((reply) => {
      this.#inFlight.delete(key);
      this.#inFlightBytes -= datagram.length;
      this.#cache.put(key, reply);
      this.#send(at, reply, remote);
    });
    this.#inFlight.set(key, handled);
    this.#inFlightBytes += datagram.length;
  }

  #read(at: Listener, cookie: string, body: Buffer, remote: RemoteInfo): Request | undefined {
    const reading = this.#options.service.read(body);
    if (reading.kind === 'request') {
      return reading.request;
    }
    if (reading.kind === 'refused') {
      this.counters.malformed++;
      this.#send(at, joinDatagram(cookie, reading.reply), remote);
    } else {
      this.counters.dropped++;
    }
    return undefined;
  }

  /** Never rejects: whatever happens, the sender gets an answer. */
  async #handle(
    request: Request,
    { cookie, at, remote }: { cookie: string; at: Listener; remote: RemoteInfo },
  ): Promise<Buffer> {
    const { service } = this.#options;
    try {
      const source = { address: remote.address, port: remote.port, listener: at.listener, cookie };
      const reply = joinDatagram(cookie, await service.handle(request, source));
      if (reply.length <= maxDatagramBytes) {
        return reply;
      }
      this.counters.oversizedReplies++;
      const reason = `Reply of ${reply.length} bytes does not fit a datagram`;
      return joinDatagram(cookie, service.refuse(request, reason));
    } catch (error) {
      this.counters.handlerErrors++;
      this.#log.error(
        { err: error, cookie, source: remote.address, protocol: service.protocol },
        'request failed',
      );
      return joinDatagram(cookie, service.refuse(request, 'Internal error'));
    }
  }

  #send({ socket, localName }: Listener, datagram: Buffer, remote: RemoteInfo): void {
    if (!this.#sockets.includes(socket)) {
      return;
    }
    try {
      socket.send(datagram, remote.port, remote.address, (error) => {
        if (error) {
          this.#socketFailed(error, localName);
        } else {
          this.counters.replied++;
        }
      });
    } catch (error) {
      // Node throws where it holds the destination for impossible.
      this.#socketFailed(error, localName);
    }
  }

  #socketFailed(error: unknown, listen: string): void {
    this.counters.socketErrors++;
    this.#log.debug({ err: error, listen, protocol: this.#options.service.protocol }, 'UDP socket error');
  }
}

interface Listener {
  readonly socket: Socket;
  readonly localName: string;
  readonly listener: number;
}
