import { createConnection, type Socket } from 'node:net';
import { messageOf } from '../../domain/error.js';
import { Backoff } from '../../runtime/backoff.js';
import { type Clock, sleep } from '../../runtime/clock.js';
import type { Logger } from '../../runtime/log.js';
import { RateLimitedWarning } from '../../runtime/rate-limited-warning.js';
import { parseStreamAddress } from '../stream/address.js';
import { decodeTag, type TimeoutNotice } from './timeout-notice.js';

/** Sockets that are told at a time, lines that wait for all of them, and their bytes. */
export const notifierLimits = { sockets: 64, lines: 65_536, bytes: 16 << 20 };
/** As many as rtpproxy makes. */
const attempts = 3;
const pauses = { firstMs: 1000, mostMs: 2000 };
/** To connect, and to take what is written. */
const timeoutMs = 2000;
/** A connection that is not used is closed after this long. */
const idleMs = 10_000;

export interface NotifierDeps {
  readonly clock: Clock;
  readonly log: Logger;
}

/** What one socket is told. */
interface Channel {
  lines: string[];
  connection: Socket | undefined;
  isBusy: boolean;
  /** The connection has failed, for this reason. */
  failed: (reason: string) => void;
  cancelIdle: () => void;
}

/**
 * Tells SIP proxies of timeouts as rtpproxy does: a line with the tag, over a connection to the socket that they have named. No
 * answer comes. What cannot be told is tried three times.
 */
export class Notifier {
  readonly #clock: Clock;
  readonly #warning: RateLimitedWarning;
  readonly #channels = new Map<string, Channel>();
  readonly #stopping = new AbortController();
  #lines = 0;
  #bytes = 0;
  /** Since the start, for metrics. */
  readonly counters = { noticesTold: 0, noticesLost: 0 };

  constructor({ clock, log }: NotifierDeps) {
    this.#clock = clock;
    this.#warning = new RateLimitedWarning('cannot send timeout notices', clock, log);
  }

  tell({ socket, tag, event = '' }: TimeoutNotice): void {
    const line = `${decodeTag(tag) ?? tag}${event}\n`;
    const channel = this.#channels.get(socket);
    const { sockets, lines, bytes } = notifierLimits;
    const isFull = this.#lines >= lines || this.#bytes + line.length > bytes;
    if (this.#stopping.signal.aborted || isFull || (!channel && this.#channels.size >= sockets)) {
      this.#lose(socket, 1, this.#stopping.signal.aborted ? 'this process stops' : 'too many wait');
      return;
    }
    this.#lines++;
    this.#bytes += line.length;
    const its = channel ?? newChannel();
    this.#channels.set(socket, its);
    its.lines.push(line);
    if (!its.isBusy) {
      void this.#deliverAll(socket, its);
    }
  }

  stop(): void {
    this.#stopping.abort();
    for (const [socket, channel] of this.#channels) {
      this.#close(socket, channel);
    }
  }

  async #deliverAll(socket: string, channel: Channel): Promise<void> {
    channel.isBusy = true;
    channel.cancelIdle();
    while (channel.lines.length > 0) {
      // What has come meanwhile goes out together.
      const lines = channel.lines.splice(0);
      const text = lines.join('');
      const reason = await this.#deliver(socket, channel, text);
      this.#lines -= lines.length;
      this.#bytes -= text.length;
      if (reason === undefined) {
        this.counters.noticesTold += lines.length;
      } else {
        this.#lose(socket, lines.length, reason);
      }
    }
    channel.isBusy = false;
    if (channel.connection && !this.#stopping.signal.aborted) {
      channel.cancelIdle = this.#clock.after(idleMs, () => this.#close(socket, channel));
    } else {
      this.#close(socket, channel);
    }
  }

  /** @returns why it cannot be told, or undefined */
  async #deliver(socket: string, channel: Channel, text: string): Promise<string | undefined> {
    const { signal } = this.#stopping;
    const backoff = new Backoff(pauses, this.#clock);
    let reason: string | undefined = 'this process stops';
    for (let attempt = 1; attempt <= attempts && !signal.aborted; attempt++) {
      reason = await this.#write(socket, channel, text);
      if (reason === undefined) {
        return undefined;
      }
      if (attempt < attempts) {
        await backoff.pause(signal);
      }
    }
    return reason;
  }

  async #write(socket: string, channel: Channel, text: string): Promise<string | undefined> {
    const connection = channel.connection ?? this.#connect(socket, channel);
    if (!connection) {
      return 'it is not tcp:HOST:PORT or unix:PATH';
    }
    const done = new AbortController();
    const reason = await new Promise<string | undefined>((resolve) => {
      channel.failed = resolve;
      // Where it fails, the connection says why.
      connection.write(text, 'latin1', (error) => (error ? undefined : resolve(undefined)));
      void sleep(this.#clock, timeoutMs, done.signal).then(() => resolve('nothing is taken there'));
    });
    channel.failed = () => {};
    done.abort();
    if (reason !== undefined) {
      channel.connection = undefined;
      connection.destroy();
    }
    return reason;
  }

  #connect(socket: string, channel: Channel): Socket | undefined {
    const target = parseStreamAddress(socket);
    if (!target) {
      return undefined;
    }
    const connection = createConnection(target);
    channel.connection = connection;
    // Nothing is said there that matters, but its end.
    connection.resume();
    connection.on('error', (error) => channel.failed(messageOf(error)));
    connection.once('close', () => {
      if (channel.connection === connection) {
        channel.connection = undefined;
        channel.failed('the connection was closed');
      }
    });
    return connection;
  }

  #close(socket: string, channel: Channel): void {
    channel.cancelIdle();
    channel.connection?.destroy();
    if (!channel.isBusy) {
      this.#channels.delete(socket);
    }
  }

  #lose(socket: string, lines: number, reason: string): void {
    this.counters.noticesLost += lines;
    this.#warning.warn({ socket, lines, reason });
  }
}

const newChannel = (): Channel => ({
  lines: [],
  connection: undefined,
  isBusy: false,
  failed: () => {},
  cancelIdle: () => {},
});
