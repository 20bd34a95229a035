import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { type Address, formatAddress } from '../../runtime/address.js';
import { type Clock, systemClock } from '../../runtime/clock.js';
import { type Logger, silentLogger } from '../../runtime/log.js';
import { widenReceiveBuffer } from '../udp/sockets.js';
import { BencodeError } from './bencode.js';
import {
  bodyFormat,
  encodeMessage,
  maxDatagramBytes,
  type NgDictionary,
  NgMessageError,
  parseBody,
  splitDatagram,
} from './message.js';

/**
 * timeout: nobody answered. refused: the host said at once that nobody will (ICMP), or there is no way to
 * it. overloaded: too many requests are waiting already. closed: the client is stopped. malformed: the
 * request does not fit a datagram, or the reply is not ng.
 */
export type NgClientErrorCode = 'timeout' | 'refused' | 'overloaded' | 'closed' | 'malformed';

export class NgClientError extends Error {
  override readonly name = 'NgClientError';

  constructor(
    readonly code: NgClientErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

export interface NgClientOptions extends Address {
  /** For a request that names none. Default 1000. */
  readonly timeoutMs?: number;
  /** Time between copies of one request. Default 250. */
  readonly retransmitMs?: number;
  /** Requests waiting at the same time. Default 4096. */
  readonly maxOutstanding?: number;
  readonly clock?: Clock;
  readonly log?: Logger;
}

export interface NgRequestOptions {
  readonly timeoutMs?: number;
  readonly retransmitMs?: number;
}

export interface NgClientCounters {
  requests: number;
  retransmissions: number;
  replies: number;
  /** Replies to requests that had ended, and datagrams that answer nothing. */
  unknownReplies: number;
  timeouts: number;
  refused: number;
  overloaded: number;
  malformed: number;
  /** Sockets opened, the first included. */
  opened: number;
}

interface Transaction {
  readonly datagram: Buffer;
  readonly retransmitMs: number;
  settle(outcome: Buffer | NgClientError): void;
  cancelRetransmit: () => void;
  readonly cancelTimeout: () => void;
}

const minRetransmitMs = 10;

/**
 * Speaks to one relay over one connected UDP socket. Only a connected socket hears that the port is
 * closed (ICMP port unreachable), and rtpengine answers from the address and port that were asked.
 */
export class NgClient {
  readonly counters: NgClientCounters = {
    requests: 0,
    retransmissions: 0,
    replies: 0,
    unknownReplies: 0,
    timeouts: 0,
    refused: 0,
    overloaded: 0,
    malformed: 0,
    opened: 0,
  };
  readonly #address: Address;
  readonly #timeoutMs: number;
  readonly #retransmitMs: number;
  readonly #maxOutstanding: number;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #transactions = new Map<string, Transaction>();
  // rtpengine recognizes duplicates by the cookie alone, whoever sent it: two clients must never share one.
  readonly #cookiePrefix = randomBytes(9).toString('base64url');
  #sequence = 0;
  #socket: Socket | undefined;
  #opening: Promise<void> | undefined;
  #stopped = false;

  constructor(options: NgClientOptions) {
    this.#address = { host: options.host, port: options.port };
    this.#timeoutMs = options.timeoutMs ?? 1000;
    this.#retransmitMs = options.retransmitMs ?? 250;
    this.#maxOutstanding = options.maxOutstanding ?? 4096;
    this.#clock = options.clock ?? systemClock;
    this.#log = options.log ?? silentLogger;
  }

  /** Requests that wait for their reply. */
  get outstanding(): number {
    return this.#transactions.size;
  }

  /** Opens the socket; rejects with `refused` if the name does not resolve or there is no route. */
  async start(): Promise<void> {
    await this.#open();
  }

  /** Ends every waiting request with `closed`. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#opening?.catch(() => undefined);
    this.#dropSocket();
    this.#failAll(new NgClientError('closed', 'the ng client is stopped'));
  }

  /** The decoded reply. A reply of `result=error` is a reply like any other. */
  async request(body: NgDictionary | Buffer, options: NgRequestOptions = {}): Promise<NgDictionary> {
    const raw = await this.#transact(body, options);
    try {
      const format = bodyFormat(raw);
      if (format) {
        return parseBody(raw, format);
      }
    } catch (error) {
      if (!(error instanceof BencodeError || error instanceof NgMessageError)) {
        throw error;
      }
    }
    this.counters.malformed++;
    throw new NgClientError('malformed', `${this.#name()} sent a reply that is not an ng dictionary`);
  }

  /** Sends the body bytes unchanged under a cookie of its own, and returns the bytes of the reply's body. */
  requestRaw(body: Buffer, options: NgRequestOptions = {}): Promise<Buffer> {
    return this.#transact(body, options);
  }

  async #transact(body: NgDictionary | Buffer, options: NgRequestOptions): Promise<Buffer> {
    if (this.#stopped) {
      throw new NgClientError('closed', 'the ng client is stopped');
    }
    if (this.#transactions.size >= this.#maxOutstanding) {
      this.counters.overloaded++;
      throw new NgClientError('overloaded', `${this.#transactions.size} requests wait for ${this.#name()}`);
    }
    const cookie = `${this.#cookiePrefix}${(this.#sequence++).toString(36)}`;
    const datagram = this.#encode(cookie, body);
    this.counters.requests++;
    return new Promise<Buffer>((resolve, reject) => {
      const timeoutMs = options.timeoutMs ?? this.#timeoutMs;
      const transaction: Transaction = {
        datagram,
        retransmitMs: Math.max(options.retransmitMs ?? this.#retransmitMs, minRetransmitMs),
        settle: (outcome) => {
          this.#transactions.delete(cookie);
          transaction.cancelTimeout();
          transaction.cancelRetransmit();
          if (Buffer.isBuffer(outcome)) {
            resolve(outcome);
          } else {
            reject(outcome);
          }
        },
        cancelRetransmit: () => undefined,
        cancelTimeout: this.#clock.after(timeoutMs, () => this.#timedOut(cookie, timeoutMs)),
      };
      this.#transactions.set(cookie, transaction);
      this.#transmit(cookie, transaction);
    });
  }

  #encode(cookie: string, body: NgDictionary | Buffer): Buffer {
    const size = Buffer.isBuffer(body) ? cookie.length + 1 + body.length : 0;
    let reason = 'the request cannot be encoded';
    try {
      const datagram = size > maxDatagramBytes ? undefined : encodeMessage(cookie, body, 'bencode');
      if (datagram && datagram.length <= maxDatagramBytes) {
        return datagram;
      }
      reason = `a request of ${datagram?.length ?? size} bytes does not fit a datagram`;
    } catch (error) {
      if (!(error instanceof BencodeError)) {
        throw error;
      }
      reason = `the request cannot be encoded: ${error.message}`;
    }
    this.counters.malformed++;
    throw new NgClientError('malformed', reason);
  }

  #transmit(cookie: string, transaction: Transaction): void {
    if (this.#socket) {
      this.#send(this.#socket, transaction.datagram);
    } else {
      this.#openFor(cookie);
    }
    transaction.cancelRetransmit = this.#clock.after(transaction.retransmitMs, () => {
      this.counters.retransmissions++;
      this.#transmit(cookie, transaction);
    });
  }

  #send(socket: Socket, datagram: Buffer): void {
    socket.send(datagram, (error) => {
      if (error && socket === this.#socket) {
        this.#socketFailed(socket, error);
      }
    });
  }

  /** The first copy waits for the socket; it goes out as soon as that is open. */
  #openFor(cookie: string): void {
    this.#open().then(
      () => {
        const transaction = this.#transactions.get(cookie);
        if (transaction && this.#socket) {
          this.#send(this.#socket, transaction.datagram);
        }
      },
      (error: NgClientError) => {
        if (error.code === 'refused') {
          this.counters.refused++;
        }
        this.#transactions.get(cookie)?.settle(error);
      },
    );
  }

  #timedOut(cookie: string, timeoutMs: number): void {
    this.counters.timeouts++;
    this.#transactions
      .get(cookie)
      ?.settle(new NgClientError('timeout', `${this.#name()} did not answer within ${timeoutMs} ms`));
    // A relay that came back elsewhere under the same name: ask the resolver again for the next request.
    if (this.#transactions.size === 0 && isIP(this.#address.host) === 0) {
      this.#dropSocket();
    }
  }

  #open(): Promise<void> {
    if (this.#stopped) {
      return Promise.reject(new NgClientError('closed', 'the ng client is stopped'));
    }
    if (this.#socket) {
      return Promise.resolve();
    }
    this.#opening ??= this.#connect().finally(() => {
      this.#opening = undefined;
    });
    return this.#opening;
  }

  async #connect(): Promise<void> {
    const { host, port } = this.#address;
    let socket: Socket | undefined;
    try {
      const { address, family } = await lookup(host);
      const opened = createSocket({ type: family === 6 ? 'udp6' : 'udp4' });
      socket = opened;
      await new Promise<void>((resolve, reject) => {
        opened.once('error', reject);
        opened.connect(port, address, () => {
          opened.off('error', reject);
          resolve();
        });
      });
    } catch (error) {
      socket?.close();
      throw new NgClientError('refused', `cannot reach ${this.#name()}: ${(error as Error).message}`, {
        cause: error,
      });
    }
    const connected = socket;
    widenReceiveBuffer(connected);
    connected.on('error', (error) => this.#socketFailed(connected, error));
    if (this.#stopped) {
      connected.close();
      throw new NgClientError('closed', 'the ng client is stopped');
    }
    connected.on('message', (datagram) => this.#receive(datagram));
    this.#socket = connected;
    this.counters.opened++;
  }

  #receive(datagram: Buffer): void {
    const parts = splitDatagram(datagram);
    const transaction = parts && this.#transactions.get(parts.cookie);
    if (!parts || !transaction) {
      this.counters.unknownReplies++;
      return;
    }
    this.counters.replies++;
    transaction.settle(parts.raw);
  }

  /** Whatever breaks the socket concerns every request that waits on it: none can get its reply any more. */
  #socketFailed(socket: Socket, error: Error): void {
    if (socket !== this.#socket) {
      return;
    }
    this.#dropSocket();
    this.#log.debug(
      { err: error, relay: this.#name() },
      'ng socket failed; a new one opens with the next request',
    );
    this.counters.refused += this.#transactions.size;
    this.#failAll(
      new NgClientError('refused', `${this.#name()} refused the request: ${error.message}`, { cause: error }),
    );
  }

  #failAll(error: NgClientError): void {
    for (const transaction of [...this.#transactions.values()]) {
      transaction.settle(error);
    }
  }

  #dropSocket(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    // A closed socket may still report a send that was under way; without a listener that would be thrown.
    socket?.removeAllListeners('message');
    socket?.close();
  }

  #name(): string {
    return formatAddress(this.#address);
  }
}
