import { createConnection, type Socket } from 'node:net';
import { messageOf } from '../../domain/error.js';
import { type Clock, systemClock } from '../../runtime/clock.js';
import { type ControlClient, ControlClientError, type ControlRequestOptions } from '../client.js';
import { formatStreamAddress, type StreamAddress } from './address.js';
import { isWhole } from './reply.js';

export class StreamClientError extends ControlClientError {
  override readonly name = 'StreamClientError';
}

export interface StreamClientOptions {
  readonly address: StreamAddress;
  /** For a request that names none, ms. Default 1000. */
  readonly timeoutMs?: number;
  /** Connections at a time; what is beyond waits. Default 16. */
  readonly maxConnections?: number;
  /** Requests that are sent or wait. Default 4096. */
  readonly maxOutstanding?: number;
  readonly clock?: Clock;
}

/** Longest reply, bytes: that of rtpproxy fits a datagram. */
const maxReplyBytes = 65_507;

interface Transaction {
  readonly body: Buffer;
  readonly end: (outcome: Buffer | StreamClientError) => void;
  connection: Socket | undefined;
  /** It was sent over a connection that had served others, which the relay may have closed meanwhile. */
  isReused: boolean;
  reply: string;
}

/**
 * Transactions with one rtpproxy over TCP or a Unix socket. There are no cookies, and replies of several lines have no end of
 * their own: so each connection has one request at a time, and one whose reply did not come is closed. rtpproxy closes its Unix
 * sockets after a reply; over TCP a connection serves one request after the other.
 */
export class StreamClient implements ControlClient {
  readonly #address: StreamAddress;
  readonly #timeoutMs: number;
  readonly #maxConnections: number;
  readonly #maxOutstanding: number;
  readonly #clock: Clock;
  readonly #outstanding = new Set<Transaction>();
  readonly #waiting = new Set<Transaction>();
  /** Open connections, with what they serve or have served last. */
  readonly #open = new Map<Socket, Transaction>();
  readonly #idle = new Set<Socket>();
  #stopped = false;

  constructor(options: StreamClientOptions) {
    this.#address = options.address;
    this.#timeoutMs = options.timeoutMs ?? 1000;
    this.#maxConnections = options.maxConnections ?? 16;
    this.#maxOutstanding = options.maxOutstanding ?? 4096;
    this.#clock = options.clock ?? systemClock;
  }

  /** For messages. */
  get peer(): string {
    return formatStreamAddress(this.#address);
  }

  /** Open connections. */
  get connections(): number {
    return this.#open.size;
  }

  /** Nothing to do: connections are opened as they are needed. */
  async start(): Promise<void> {}

  async stop(): Promise<void> {
    this.#stopped = true;
    for (const transaction of this.#outstanding) {
      transaction.end(stopped());
    }
    for (const connection of this.#open.keys()) {
      connection.destroy();
    }
  }

  /** @throws StreamClientError */
  async request(body: Buffer, { timeoutMs = this.#timeoutMs }: ControlRequestOptions = {}): Promise<Buffer> {
    if (this.#stopped) {
      throw stopped();
    }
    if (this.#outstanding.size >= this.#maxOutstanding) {
      throw new StreamClientError('overloaded', `${this.#outstanding.size} requests wait for ${this.peer}`);
    }
    if (/[\r\n]/.test(body.toString('latin1').trimEnd())) {
      throw new StreamClientError('malformed', 'a request of several lines would be several requests');
    }
    return new Promise<Buffer>((resolve, reject) => {
      const end = (outcome: Buffer | StreamClientError) => {
        cancelTimeout();
        this.#outstanding.delete(transaction);
        this.#waiting.delete(transaction);
        if (Buffer.isBuffer(outcome)) {
          resolve(outcome);
        } else {
          transaction.connection?.destroy();
          reject(outcome);
        }
      };
      const cancelTimeout = this.#clock.after(timeoutMs, () => {
        end(new StreamClientError('timeout', `${this.peer} did not answer within ${timeoutMs} ms`));
      });
      const transaction: Transaction = { body, end, connection: undefined, isReused: false, reply: '' };
      this.#outstanding.add(transaction);
      this.#waiting.add(transaction);
      this.#sendNext();
    });
  }

  #sendNext(): void {
    for (const transaction of this.#waiting) {
      const [idle] = this.#idle;
      if (!idle && this.#open.size >= this.#maxConnections) {
        return;
      }
      this.#waiting.delete(transaction);
      this.#send(transaction, idle);
    }
  }

  #send(transaction: Transaction, idle: Socket | undefined): void {
    const connection = idle ?? this.#connect();
    this.#idle.delete(connection);
    this.#open.set(connection, transaction);
    transaction.connection = connection;
    transaction.isReused = idle !== undefined;
    // The whole request at once: of a Unix socket rtpproxy reads no more than that.
    connection.write(`${transaction.body.toString('latin1').trimEnd()}\n`, 'latin1');
  }

  #connect(): Socket {
    const connection = createConnection(this.#address);
    let reason = 'the connection was closed';
    const served = () => this.#open.get(connection) as Transaction;
    connection.setEncoding('latin1');
    connection.on('data', (text: string) => this.#receive(served(), connection, text));
    connection.on('end', () => this.#ended(served()));
    connection.on('error', (error) => {
      reason = messageOf(error);
    });
    connection.once('close', () => {
      const transaction = served();
      this.#open.delete(connection);
      this.#idle.delete(connection);
      this.#closed(transaction, connection, reason);
      this.#sendNext();
    });
    return connection;
  }

  #receive(transaction: Transaction, connection: Socket, text: string): void {
    transaction.reply += text;
    // Also what nobody has asked for.
    if (transaction.reply.length > maxReplyBytes || !this.#outstanding.has(transaction)) {
      transaction.end(new StreamClientError('malformed', `${this.peer} does not answer as an rtpproxy`));
      connection.destroy();
    } else if (isWhole(transaction.body, transaction.reply)) {
      transaction.end(Buffer.from(transaction.reply, 'latin1'));
      if ('path' in this.#address) {
        connection.destroy();
      } else {
        this.#idle.add(connection);
        this.#sendNext();
      }
    }
  }

  /** The relay has said all that it says. */
  #ended(transaction: Transaction): void {
    if (this.#outstanding.has(transaction) && transaction.reply.endsWith('\n')) {
      transaction.end(Buffer.from(transaction.reply, 'latin1'));
    }
  }

  #closed(transaction: Transaction, connection: Socket, reason: string): void {
    if (transaction.connection !== connection || !this.#outstanding.has(transaction)) {
      return;
    }
    if (transaction.isReused && transaction.reply === '' && !this.#stopped) {
      this.#waiting.add(transaction);
      return;
    }
    transaction.end(new StreamClientError('refused', `${this.peer} refused the request: ${reason}`));
  }
}

function stopped(): StreamClientError {
  return new StreamClientError('closed', 'the client is stopped');
}
