import { connect, type Socket } from 'node:net';
import { OutBuffer } from './out-buffer.js';

/** Events on the streams of a connection. */
export interface StreamListener {
  onData(streamId: number, payload: Buffer): void;
  /** `failed`: the stream was reset, or ended without a status. */
  onEnd(streamId: number, failed: boolean): void;
}

const frames = {
  data: 0,
  headers: 1,
  resetStream: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  windowUpdate: 8,
} as const;
const flags = { ack: 1, endStream: 1, endHeaders: 4 } as const;
const initialWindowSetting = 4;
const headerBytes = 9;
const mostWindow = 2 ** 31 - 1;
/** Received bytes after which the server's window is updated. */
const windowStep = 1 << 24;

/**
 * The parts of an HTTP/2 client (RFC 9113) that it takes to load a gRPC server: every stream is a POST to one path, and
 * response headers are not read. An ordinary gRPC client costs more than the server, so on a small machine a measurement
 * would be of the client.
 */
export class Http2Connection {
  readonly #socket: Socket;
  readonly #listener: StreamListener;
  readonly #out: OutBuffer;
  /** Headers of the first stream, which fill the server's HPACK table, and of all others, which refer to it. */
  readonly #firstHeaders: Buffer;
  readonly #laterHeaders = Buffer.of(0x83, 0x86, 0xc1, 0xc0, 0xbf, 0xbe);
  #nextStreamId = 1;
  #window = 65_535;
  #initialStreamWindow = 65_535;
  /** For streams that stay open and send several messages. */
  readonly #streamWindows = new Map<number, number>();
  #blocked: { streamId: number; payload: Buffer; end: boolean }[] = [];
  #rest: Buffer = Buffer.alloc(0);
  #received = 0;
  #closed = false;

  private constructor(socket: Socket, path: string, authority: string, listener: StreamListener) {
    this.#socket = socket;
    this.#listener = listener;
    this.#out = new OutBuffer(socket);
    // HPACK (RFC 7541): literals with incremental indexing, which become entries 65 down to 62.
    this.#firstHeaders = Buffer.concat([
      Buffer.of(0x83, 0x86),
      literal(Buffer.of(0x44), path),
      literal(Buffer.of(0x41), authority),
      literal(Buffer.of(0x5f), 'application/grpc'),
      literal(Buffer.concat([Buffer.of(0x40), text('te')]), 'trailers'),
    ]);
  }

  static open(host: string, port: number, path: string, listener: StreamListener): Promise<Http2Connection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port, noDelay: true });
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        const connection = new Http2Connection(socket, path, `${host}:${port}`, listener);
        connection.#begin();
        resolve(connection);
      });
    });
  }

  /** Opens a stream with its first message. @param end if there are no further messages */
  openStream(payload: Buffer, end: boolean): number {
    const streamId = this.#nextStreamId;
    this.#nextStreamId += 2;
    const headers = streamId === 1 ? this.#firstHeaders : this.#laterHeaders;
    this.#out.frame(headers.length, frames.headers, flags.endHeaders, streamId);
    this.#out.bytes(headers);
    if (!end) {
      this.#streamWindows.set(streamId, this.#initialStreamWindow);
    }
    this.send(streamId, payload, end);
    return streamId;
  }

  send(streamId: number, payload: Buffer, end = false): void {
    if (this.#blocked.length > 0 || !this.#fits(streamId, payload.length)) {
      this.#blocked.push({ streamId, payload, end });
    } else {
      this.#sendNow(streamId, payload, end);
    }
  }

  close(): void {
    this.#closed = true;
    this.#socket.destroy();
  }

  #begin(): void {
    this.#socket.on('data', (chunk) => this.#receive(chunk));
    this.#socket.on('error', () => this.#broken());
    this.#socket.on('close', () => this.#broken());
    this.#out.bytes(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'));
    this.#out.frame(6, frames.settings, 0, 0);
    this.#out.uint16(initialWindowSetting);
    this.#out.uint32(mostWindow);
    this.#giveWindow(0, mostWindow - 65_535);
  }

  #fits(streamId: number, length: number): boolean {
    return (
      length <= this.#window && length <= (this.#streamWindows.get(streamId) ?? this.#initialStreamWindow)
    );
  }

  #sendNow(streamId: number, payload: Buffer, end: boolean): void {
    this.#window -= payload.length;
    const streamWindow = this.#streamWindows.get(streamId);
    if (streamWindow !== undefined) {
      this.#streamWindows.set(streamId, streamWindow - payload.length);
    }
    this.#out.frame(payload.length, frames.data, end ? flags.endStream : 0, streamId);
    this.#out.bytes(payload);
  }

  #sendBlocked(): void {
    let sent = 0;
    for (const { streamId, payload, end } of this.#blocked) {
      if (!this.#fits(streamId, payload.length)) {
        break;
      }
      this.#sendNow(streamId, payload, end);
      sent++;
    }
    this.#blocked = this.#blocked.slice(sent);
  }

  #receive(chunk: Buffer): void {
    const input = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk;
    let offset = 0;
    while (input.length - offset >= headerBytes) {
      const length = input.readUIntBE(offset, 3);
      if (input.length - offset - headerBytes < length) {
        break;
      }
      const start = offset + headerBytes;
      this.#frame(
        input[offset + 3] as number,
        input[offset + 4] as number,
        input.readUInt32BE(offset + 5) & 0x7f_ff_ff_ff,
        input.subarray(start, start + length),
      );
      offset = start + length;
    }
    this.#rest = input.subarray(offset);
  }

  #frame(type: number, flag: number, streamId: number, payload: Buffer): void {
    switch (type) {
      case frames.data:
        this.#countReceived(streamId, payload.length);
        this.#listener.onData(streamId, payload);
        if (flag & flags.endStream) {
          this.#listener.onEnd(streamId, true);
        }
        break;
      case frames.headers:
        // A gRPC server always ends a stream with trailers.
        if (flag & flags.endStream) {
          this.#listener.onEnd(streamId, false);
        }
        break;
      case frames.resetStream:
        this.#listener.onEnd(streamId, true);
        break;
      case frames.settings:
        if (!(flag & flags.ack)) {
          this.#settings(payload);
        }
        break;
      case frames.ping:
        if (flag & flags.ack) {
          break;
        }
        this.#out.frame(payload.length, frames.ping, flags.ack, 0);
        this.#out.bytes(payload);
        break;
      case frames.windowUpdate:
        this.#windowUpdate(streamId, payload.readUInt32BE(0) & 0x7f_ff_ff_ff);
        break;
      case frames.goAway:
        this.#broken();
    }
  }

  #settings(payload: Buffer): void {
    for (let at = 0; at + 6 <= payload.length; at += 6) {
      if (payload.readUInt16BE(at) === initialWindowSetting) {
        const size = payload.readUInt32BE(at + 2);
        for (const [id, window] of this.#streamWindows) {
          this.#streamWindows.set(id, window + size - this.#initialStreamWindow);
        }
        this.#initialStreamWindow = size;
      }
    }
    this.#out.frame(0, frames.settings, flags.ack, 0);
    this.#sendBlocked();
  }

  #windowUpdate(streamId: number, increment: number): void {
    const streamWindow = this.#streamWindows.get(streamId);
    if (streamId === 0) {
      this.#window += increment;
    } else if (streamWindow !== undefined) {
      this.#streamWindows.set(streamId, streamWindow + increment);
    }
    this.#sendBlocked();
  }

  #countReceived(streamId: number, length: number): void {
    this.#received += length;
    if (this.#received < windowStep) {
      return;
    }
    this.#giveWindow(0, this.#received);
    if (this.#streamWindows.has(streamId)) {
      this.#giveWindow(streamId, this.#received);
    }
    this.#received = 0;
  }

  #giveWindow(streamId: number, increment: number): void {
    this.#out.frame(4, frames.windowUpdate, 0, streamId);
    this.#out.uint32(increment);
  }

  #broken(): void {
    if (this.#closed) {
      return;
    }
    this.#closed = true;
    this.#socket.destroy();
    this.#listener.onEnd(0, true);
  }
}

/** A string literal without Huffman coding, shorter than 127 bytes. */
function text(value: string): Buffer {
  return Buffer.concat([Buffer.of(value.length), Buffer.from(value)]);
}

function literal(name: Buffer, value: string): Buffer {
  return Buffer.concat([name, text(value)]);
}
