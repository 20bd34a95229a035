import type { Socket } from 'node:net';
import { Duplex } from 'node:stream';

const carriageReturn = 13;
const lineFeed = 10;

/**
 * The connection of an HTTP client as Node's server sees it: one request at a time. Node parses all the requests of one read
 * before it answers the first, and makes an error of each when the connection ends: 1,900 of them in 64 KiB block the process
 * for 20 ms. Here a head goes through alone. If anything follows it before its answer is complete (another request, or a body,
 * which no request here needs), nothing more is read, and the connection ends with that answer.
 */
export class UnpipelinedConnection extends Duplex {
  readonly #socket: Socket;
  readonly remoteAddress: string | undefined;
  /** Of a head: not begun, or the line that is being read has nothing yet, or has. */
  #line: 'none' | 'empty' | 'text' = 'none';
  #answering = false;
  #pipelined = false;

  /** @param raw the TCP connection below it, if it is another one */
  constructor(
    socket: Socket,
    readonly raw: Socket = socket,
  ) {
    super();
    this.#socket = socket;
    this.remoteAddress = socket.remoteAddress;
    socket.on('data', (bytes) => this.#received(bytes));
    socket.once('end', () => this.push(null));
    socket.once('error', (error) => this.destroy(error));
    socket.once('close', () => this.destroy());
    socket.on('timeout', () => this.emit('timeout'));
  }

  /** The answer to the request is complete: the next one may come. */
  answered(): void {
    this.#answering = false;
    if (this.#pipelined) {
      this.end();
    }
  }

  /** As that of a socket: `timeout` is emitted after so many ms without traffic; 0 is for ever. */
  setTimeout(ms: number, listener?: () => void): this {
    this.#socket.setTimeout(ms);
    return listener ? this.once('timeout', listener) : this;
  }

  #received(bytes: Buffer): void {
    const length = this.#answering ? 0 : this.#headLength(bytes);
    if (length < bytes.length) {
      this.#pipelined = true;
      this.#socket.pause();
    }
    if (length > 0) {
      this.push(bytes.subarray(0, length));
    }
  }

  /** How many of these bytes belong to the head: it ends with an empty line (RFC 9112, section 2.1). */
  #headLength(bytes: Buffer): number {
    for (let i = 0; i < bytes.length; i++) {
      const byte = bytes[i];
      if (byte === lineFeed && this.#line === 'empty') {
        this.#line = 'none';
        this.#answering = true;
        return i + 1;
      }
      if (byte === lineFeed && this.#line === 'text') {
        this.#line = 'empty';
      } else if (byte !== lineFeed && byte !== carriageReturn) {
        this.#line = 'text';
      }
    }
    return bytes.length;
  }

  override _read(): void {
    // A head is bounded by Node's parser, and nothing follows it: there is nothing to hold back.
  }

  override _write(bytes: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#socket.write(bytes, done);
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#socket.end(() => done());
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#socket.destroy();
    done(error);
  }
}
