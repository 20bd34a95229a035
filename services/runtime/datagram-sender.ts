import { createSocket, type Socket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { messageOf } from '../domain/error.js';
import { type Address, formatAddress } from './address.js';
import type { Clock } from './clock.js';
import type { Logger } from './log.js';
import { RateLimitedWarning } from './rate-limited-warning.js';

export interface DatagramSenderDeps {
  /** What is sent, as the log says it: `HEP`. */
  readonly what: string;
  readonly to: Address;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What becomes of datagrams. */
export type DatagramCounters = Readonly<Record<'sent' | 'dropped' | 'failed', number>>;

/** Datagrams that the system has not taken yet. */
const mostPending = 1000;
/** The name of the server is looked up again so often, ms. */
const lookupPeriodMs = 60_000;
/** The same while it has no address. */
const lookupRetryMs = 5000;
const warningPeriodMs = 60_000;

/**
 * Sends datagrams to one server over UDP, and waits for nothing: what cannot be sent at once is dropped and counted. The server's
 * name is looked up again now and then, since nothing that is sent tells whether it is still there.
 */
export class DatagramSender {
  readonly counters = { sent: 0, dropped: 0, failed: 0 };
  readonly #deps: DatagramSenderDeps;
  readonly #warning: RateLimitedWarning;
  #socket: Socket | undefined;
  /** The server's, once it is known. */
  #address: string | undefined;
  #local: Address | undefined;
  #pending = 0;
  #stopped = false;
  #cancelLookup = () => {};

  constructor(deps: DatagramSenderDeps) {
    this.#deps = deps;
    const { what, clock, log } = deps;
    this.#warning = new RateLimitedWarning(`${what} cannot be sent`, clock, log, warningPeriodMs);
  }

  /** Where datagrams come from; undefined before the server's address is known. */
  get local(): Address | undefined {
    return this.#local;
  }

  /** Returns at once: a server that cannot be found yet costs datagrams and nothing else. */
  start(): void {
    void this.#find();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelLookup();
    this.#close();
  }

  /** Never throws. @param encode undefined if there is nothing to send after all */
  send(encode: () => Buffer | undefined): void {
    const socket = this.#socket;
    const bytes = socket && this.#local && this.#pending < mostPending ? encode() : undefined;
    if (!socket || !bytes) {
      this.counters.dropped++;
      return;
    }
    this.#pending++;
    socket.send(bytes, (error) => {
      this.#pending--;
      if (error) {
        this.#failed(error);
      } else {
        this.counters.sent++;
      }
    });
  }

  async #find(): Promise<void> {
    const { to, clock } = this.#deps;
    let again = lookupPeriodMs;
    try {
      const { address, family } = await lookup(to.host);
      if (!this.#stopped && address !== this.#address) {
        await this.#open(address, family === 6 ? 'udp6' : 'udp4');
      }
    } catch (error) {
      again = lookupRetryMs;
      this.#failed(error);
    }
    if (!this.#stopped) {
      this.#cancelLookup = clock.after(again, () => void this.#find());
    }
  }

  /** A connected socket: the system tells where its datagrams come from, and that nobody listens. */
  #open(address: string, type: 'udp4' | 'udp6'): Promise<void> {
    const socket = createSocket(type);
    socket.unref();
    return new Promise((resolve, reject) => {
      socket.once('error', reject);
      socket.connect(this.#deps.to.port, address, () => {
        socket.off('error', reject).on('error', (error) => this.#failed(error));
        if (this.#stopped) {
          socket.close();
          return resolve();
        }
        this.#close();
        const { address: host, port } = socket.address();
        this.#socket = socket;
        this.#address = address;
        this.#local = { host, port };
        const { what, to, log } = this.#deps;
        log.info({ to: formatAddress({ host: address, port: to.port }) }, `sending ${what}`);
        resolve();
      });
    });
  }

  #close(): void {
    this.#socket?.close();
    this.#socket = undefined;
  }

  #failed(error: unknown): void {
    this.counters.failed++;
    this.#warning.warn({ to: formatAddress(this.#deps.to), reason: messageOf(error) });
  }
}
