import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import type { AddressInfo } from 'node:net';
import { type Address, formatAddress, listenError } from '../../runtime/address.js';
import { type Clock, sleep, systemClock } from '../../runtime/clock.js';
import { type Logger, silentLogger } from '../../runtime/log.js';
import { ReplyCache } from '../udp/reply-cache.js';
import { numericLookup, socketType, widenReceiveBuffer } from '../udp/sockets.js';
import {
  encodeMessage,
  errorReply,
  maxDatagramBytes,
  type NgDictionary,
  type NgFormat,
  type NgMessage,
  NgMessageError,
  parseMessage,
  splitDatagram,
} from './message.js';

export interface NgSource {
  readonly address: string;
  readonly port: number;
  /** Which of the server's addresses was asked. */
  readonly local: Address;
}

/** Bytes are sent as the reply's body as they are. */
export type NgHandler = (message: NgMessage, source: NgSource) => Promise<NgDictionary | Buffer>;

export interface NgServerOptions {
  /** Port 0 lets the system choose; see `addresses()`. */
  readonly listen: readonly Address[];
  /** Descriptors of UDP sockets that are bound already, for the first addresses of `listen`, in their order. */
  readonly passed?: readonly number[];
  readonly handler: NgHandler;
  /** Datagrams from other sources are counted and dropped without a reply. Default: everybody may ask. */
  readonly accept?: (address: string) => boolean;
  /** Requests being handled at the same time. Default 1024. */
  readonly maxInFlight?: number;
  /** Kept replies. Defaults: 30 s, 16,384 of them, 16 MiB. */
  readonly replyTtlMs?: number;
  readonly maxReplies?: number;
  readonly maxReplyBytes?: number;
  readonly clock?: Clock;
  readonly log?: Logger;
}

export interface NgServerCounters {
  received: number;
  replied: number;
  /** Retransmissions answered from the cache. */
  duplicates: number;
  /** Retransmissions of requests that are still being handled: ignored, the reply is on its way. */
  duplicatesInFlight: number;
  /** Not ng, but with a cookie: answered with an error. */
  malformed: number;
  /** Not answered: no cookie, a reply instead of a request, an impossible source. */
  dropped: number;
  /** From a source that is not accepted. */
  notAccepted: number;
  overloaded: number;
  handlerErrors: number;
  oversizedReplies: number;
  socketErrors: number;
}

/** How long stop() waits for a moment in which nothing is asked. */
const stopGraceMs = 1000;

export class NgServer {
  readonly counters: NgServerCounters = {
    received: 0,
    replied: 0,
    duplicates: 0,
    duplicatesInFlight: 0,
    malformed: 0,
    dropped: 0,
    notAccepted: 0,
    overloaded: 0,
    handlerErrors: 0,
    oversizedReplies: 0,
    socketErrors: 0,
  };
  readonly #options: NgServerOptions;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #maxInFlight: number;
  readonly #cache: ReplyCache;
  readonly #inFlight = new Map<string, Promise<void>>();
  #sockets: Socket[] = [];
  #addresses: Address[] = [];
  #stopping: Promise<void> | undefined;

  constructor(options: NgServerOptions) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#log = options.log ?? silentLogger;
    this.#maxInFlight = options.maxInFlight ?? 1024;
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

  /** Opens all addresses or none. */
  async start(): Promise<void> {
    try {
      const { listen, passed = [] } = this.#options;
      for (const [i, address] of listen.entries()) {
        this.#serve(await openSocket(address, passed[i]));
      }
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  /**
   * Goes on serving until nothing is in flight and nothing more has come, for a second at most, then closes the sockets.
   * A request to a closed port is refused at once, and its sender can ask elsewhere; one that is read and not answered
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
      await allReceived();
    }
    cut.abort();
    const sockets = this.#sockets;
    this.#sockets = [];
    await Promise.all(sockets.map((socket) => new Promise<void>((resolve) => socket.close(() => resolve()))));
    this.#cache.clear();
  }

  #serve(socket: Socket): void {
    const local = localOf(socket);
    socket.on('error', (error) => {
      this.counters.socketErrors++;
      this.#log.warn({ err: error, listen: formatAddress(local) }, 'ng socket error');
    });
    widenReceiveBuffer(socket);
    socket.on('message', (datagram, remote) => this.#receive(socket, local, datagram, remote));
    this.#sockets.push(socket);
    this.#addresses.push(local);
  }

  #receive(socket: Socket, local: Address, datagram: Buffer, remote: RemoteInfo): void {
    this.counters.received++;
    // A forged datagram may claim port 0, to which nothing can be sent.
    if (remote.port === 0) {
      this.counters.dropped++;
      return;
    }
    if (this.#options.accept && !this.#options.accept(remote.address)) {
      this.counters.notAccepted++;
      return;
    }
    const cookie = splitDatagram(datagram)?.cookie;
    if (cookie === undefined) {
      this.counters.dropped++;
      return;
    }
    // The source belongs to the key: two proxies may well use the same cookie for two different calls.
    const key = `${local.host} ${local.port} ${remote.address} ${remote.port} ${cookie}`;
    if (this.#inFlight.has(key)) {
      this.counters.duplicatesInFlight++;
      return;
    }
    const known = this.#cache.get(key);
    if (known) {
      this.counters.duplicates++;
      this.#send(socket, known, remote);
      return;
    }
    const message = this.#parse(socket, datagram, remote);
    if (!message) {
      return;
    }
    if (this.#inFlight.size >= this.#maxInFlight) {
      this.counters.overloaded++;
      this.#send(socket, encodeMessage(cookie, errorReply('Too many requests'), message.format), remote);
      return;
    }
    const source: NgSource = { address: remote.address, port: remote.port, local };
    const handled = this.#handle(message, source).then((reply) => {
      this.#inFlight.delete(key);
      this.#cache.put(key, reply);
      this.#send(socket, reply, remote);
    });
    this.#inFlight.set(key, handled);
  }

  #parse(socket: Socket, datagram: Buffer, remote: RemoteInfo): NgMessage | undefined {
    try {
      const message = parseMessage(datagram);
      // Answering what is itself a reply would let a forged source make two ng servers answer each other for ever.
      if (message.body['result'] === undefined || message.body['command'] !== undefined) {
        return message;
      }
      this.counters.dropped++;
    } catch (error) {
      if (!(error instanceof NgMessageError) || error.cookie === undefined) {
        throw error;
      }
      this.counters.malformed++;
      const body = errorReply(`Invalid data (${error.message})`);
      this.#send(socket, encodeMessage(error.cookie, body, error.format), remote);
    }
    return undefined;
  }

  /** Never rejects: whatever happens, the proxy gets an answer. */
  async #handle(message: NgMessage, source: NgSource): Promise<Buffer> {
    try {
      return this.#encode(message, await this.#options.handler(message, source));
    } catch (error) {
      this.counters.handlerErrors++;
      this.#log.error({ err: error, cookie: message.cookie, source: source.address }, 'ng request failed');
      return encodeMessage(message.cookie, errorReply('Internal error'), message.format);
    }
  }

  #encode({ cookie, format }: { cookie: string; format: NgFormat }, body: NgDictionary | Buffer): Buffer {
    const reply = encodeMessage(cookie, body, format);
    if (reply.length <= maxDatagramBytes) {
      return reply;
    }
    this.counters.oversizedReplies++;
    return encodeMessage(
      cookie,
      errorReply(`Reply of ${reply.length} bytes does not fit a datagram`),
      format,
    );
  }

  #send(socket: Socket, datagram: Buffer, remote: RemoteInfo): void {
    if (!this.#sockets.includes(socket)) {
      return;
    }
    socket.send(datagram, remote.port, remote.address, (error) => {
      if (error) {
        this.counters.socketErrors++;
      } else {
        this.counters.replied++;
      }
    });
  }
}

/** @throws Error naming the address, if it cannot be listened on, or the descriptor is bound to another */
function openSocket(address: Address, descriptor: number | undefined): Promise<Socket> {
  const type = socketType(address.host);
  const socket = createSocket({ type, ipv6Only: type === 'udp6', lookup: numericLookup });
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      socket.close();
      reject(error);
    };
    socket.once('error', (error) => fail(listenError('the ng protocol', address, error)));
    socket.once('listening', () => {
      socket.removeAllListeners('error');
      const [wanted, bound] = [formatAddress(address), formatAddress(localOf(socket))];
      if (descriptor === undefined || wanted === bound) {
        resolve(socket);
      } else {
        fail(
          new Error(`the socket passed for ${wanted} (ng) is bound to ${bound}: name both in the same order`),
        );
      }
    });
    if (descriptor === undefined) {
      socket.bind({ address: address.host, port: address.port, exclusive: true });
    } else {
      socket.bind({ fd: descriptor });
    }
  });
}

function localOf(socket: Socket): Address {
  const { address: host, port }: AddressInfo = socket.address();
  return { host, port };
}

/** Resolves when what the system had received before has been read: after one whole turn of the event loop. */
async function allReceived(): Promise<void> {
  for (let turns = 0; turns < 2; turns++) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}
