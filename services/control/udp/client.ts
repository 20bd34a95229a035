import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:dgram';
import { isIP } from 'node:net';
import { type Address, formatAddress } from '../../runtime/address.js';
import { type Clock, systemClock } from '../../runtime/clock.js';
import { type Logger, silentLogger } from '../../runtime/log.js';
import { type ControlClient, ControlClientError, type ControlRequestOptions } from '../client.js';
import { joinDatagram, maxDatagramBytes, splitDatagram } from './datagram.js';
import { connectSocket } from './sockets.js';

export class UdpClientError extends ControlClientError {
  override readonly name = 'UdpClientError';
}

export interface UdpClientOptions extends Address {
  /** For a request that names none, ms. Default 1000. */
  readonly timeoutMs?: number;
  /** Time between copies of one request, ms. Default 250. */
  readonly retransmitMs?: number;
  /** Requests waiting at the same time. Default 4096. */
  readonly maxOutstanding?: number;
  readonly clock?: Clock;
  readonly log?: Logger;
}

export type UdpRequestOptions = ControlRequestOptions;

export interface UdpClientCounters {
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
  end(outcome: Buffer | UdpClientError): void;
  cancelRetransmit: () => void;
  readonly cancelTimeout: () => void;
}

const minRetransmitMs = 10;

/**
 * Transactions with one relay over one connected UDP socket: each request has a cookie of its own, goes out again until its
 * reply is there, and ends in time. Only a connected socket hears that the port is closed (ICMP port unreachable), and relays
 * answer from the address and port that were asked.
 */
export class UdpClient implements ControlClient {
  readonly counters: UdpClientCounters = {
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
  // rtpengine and rtpproxy recognize duplicates by the cookie alone, whoever sent it: two clients must never share one.
  readonly #cookiePrefix = randomBytes(9).toString('base64url');
  #sequence = 0;
  #socket: Socket | undefined;
  #opening: Promise<void> | undefined;
  #stopped = false;

  constructor(options: UdpClientOptions) {
    this.#address = { host: options.host, port: options.port };
    this.#timeoutMs = options.timeoutMs ?? 1000;
    this.#retransmitMs = options.retransmitMs ?? 250;
    this.#maxOutstanding = options.maxOutstanding ?? 4096;
    this.#clock = options.clock ?? systemClock;
    this.#log = options.log ?? silentLogger;
  }

  /** Host and port, for messages. */
  get peer(): string {
    return formatAddress(this.#address);
  }

  /** Requests that wait for their reply. */
  get outstanding(): number {
    return this.#transactions.size;
  }

  /** Opens the socket; rejects with `refused` if the name does not resolve or the address cannot be reached. */
  async start(): Promise<void> {
    await this.#open();
  }

  /** Ends every waiting request with `closed`. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#opening?.catch(() => undefined);
    this.#dropSocket();
    this.#failAll(stopped());
  }

  /**
   * Sends the body bytes unchanged under a cookie of its own, and returns the bytes of the reply's body.
   * @throws UdpClientError
   */
  async request(body: Buffer, options: UdpRequestOptions = {}): Promise<Buffer> {
    if (this.#stopped) {
      throw stopped();
    }
    if (this.#transactions.size >= this.#maxOutstanding) {
      this.counters.overloaded++;
      throw new UdpClientError('overloaded', `${this.#transactions.size} requests wait for ${this.peer}`);
    }
    const cookie = `${this.#cookiePrefix}${(this.#sequence++).toString(36)}`;
    const bytes = cookie.length + 1 + body.length;
    if (bytes > maxDatagramBytes) {
      this.counters.malformed++;
      throw new UdpClientError('malformed', `a request of ${bytes} bytes does not fit a datagram`);
    }
    const datagram = joinDatagram(cookie, body);
    this.counters.requests++;
    return new Promise<Buffer>((resolve, reject) => {
      const timeoutMs = options.timeoutMs ?? this.#timeoutMs;
      const transaction: Transaction = {
        datagram,
        retransmitMs: Math.max(options.retransmitMs ?? this.#retransmitMs, minRetransmitMs),
        end: (outcome) => {
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

  #transmit(cookie: string, transaction: Transaction): void {
    // Before it is sent: the socket may fail at once, which ends the transaction.
    transaction.cancelRetransmit = this.#clock.after(transaction.retransmitMs, () => {
      this.counters.retransmissions++;
      this.#transmit(cookie, transaction);
    });
    if (this.#socket) {
      this.#send(this.#socket, transaction.datagram);
    } else {
      this.#openFor(cookie);
    }
  }

  #send(socket: Socket, datagram: Buffer): void {
    try {
      socket.send(datagram, (error) => {
        if (error) {
          this.#socketFailed(socket, error);
        }
      });
    } catch (error) {
      // Node throws where it holds the socket for closed or not connected.
      this.#socketFailed(socket, error as Error);
    }
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
      (error: UdpClientError) => {
        const transaction = this.#transactions.get(cookie);
        if (transaction && error.code === 'refused') {
          this.counters.refused++;
        }
        transaction?.end(error);
      },
    );
  }

  #timedOut(cookie: string, timeoutMs: number): void {
    this.counters.timeouts++;
    this.#transactions
      .get(cookie)
      ?.end(new UdpClientError('timeout', `${this.peer} did not answer within ${timeoutMs} ms`));
    // A relay that came back elsewhere under the same name: ask the resolver again for the next request.
    if (this.#transactions.size === 0 && isIP(this.#address.host) === 0) {
      this.#dropSocket();
    }
  }

  #open(): Promise<void> {
    if (this.#stopped) {
      return Promise.reject(stopped());
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
    let socket: Socket;
    try {
      socket = await connectSocket(this.#address);
    } catch (error) {
      throw new UdpClientError('refused', `cannot reach ${this.peer}: ${(error as Error).message}`, {
        cause: error,
      });
    }
    socket.on('error', (error) => this.#socketFailed(socket, error));
    if (this.#stopped) {
      socket.close();
      throw stopped();
    }
    socket.on('message', (datagram) => this.#receive(datagram));
    this.#socket = socket;
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
    transaction.end(parts.body);
  }

  /** Whatever breaks the socket concerns every request that waits on it: none can get its reply any more. */
  #socketFailed(socket: Socket, error: Error): void {
    if (socket !== this.#socket) {
      return;
    }
    this.#dropSocket();
    this.#log.debug(
      { err: error, peer: this.peer },
      'UDP socket failed; a new one opens with the next request',
    );
    this.counters.refused += this.#transactions.size;
    this.#failAll(
      new UdpClientError('refused', `${this.peer} refused the request: ${error.message}`, { cause: error }),
    );
  }

  #failAll(error: UdpClientError): void {
    for (const transaction of [...this.#transactions.values()]) {
      transaction.end(error);
    }
  }

  #dropSocket(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    // A closed socket may still report a send that was under way; without an error listener that would be thrown.
    socket?.removeAllListeners('message');
    socket?.close();
  }
}

function stopped(): UdpClientError {
  return new UdpClientError('closed', 'the client is stopped');
}
