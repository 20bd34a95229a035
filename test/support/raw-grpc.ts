import { once } from 'node:events';
import { type ClientHttp2Stream, connect } from 'node:http2';
import type { Scope } from './process.js';

/**
 * One gRPC stream on bare HTTP/2. Unlike a client library it reads nothing until told to, so that the server's
 * flow-control window fills up.
 */
export class RawStream {
  readonly #stream: ClientHttp2Stream;
  readonly #trailers: Promise<Record<string, unknown>>;

  private constructor(stream: ClientHttp2Stream) {
    this.#stream = stream;
    this.#trailers = once(stream, 'trailers').then(([trailers]) => trailers as Record<string, unknown>);
    this.#trailers.catch(() => undefined);
    stream.on('error', () => {});
  }

  /** @param path such as `/holdfast.v1.SelectionService/SelectStream` */
  static open(scope: Scope, address: string, path: string): RawStream {
    const session = connect(`http://${address}`);
    session.on('error', () => {});
    scope.teardown(() => session.destroy());
    const headers = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' };
    return new RawStream(session.request(headers));
  }

  /** Sends encoded messages, each with its length prefix. */
  send(...messages: Uint8Array[]): void {
    for (const message of messages) {
      const prefix = Buffer.alloc(5);
      prefix.writeUInt32BE(message.length, 1);
      this.#stream.write(Buffer.concat([prefix, message]));
    }
  }

  /** Half-closes: no more requests. */
  end(): void {
    this.#stream.end();
  }

  /** Reads to the end. @returns the encoded messages, and the trailers with status and message */
  async readAll(): Promise<{ messages: Buffer[]; trailers: Record<string, unknown> }> {
    const chunks: Buffer[] = [];
    this.#stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    const trailers = await this.#trailers;
    const bytes = Buffer.concat(chunks);
    const messages: Buffer[] = [];
    for (let at = 0; at < bytes.length; ) {
      const end = at + 5 + bytes.readUInt32BE(at + 1);
      messages.push(bytes.subarray(at + 5, end));
      at = end;
    }
    return { messages, trailers };
  }
}
