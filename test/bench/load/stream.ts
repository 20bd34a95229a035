import { Http2Connection, type StreamListener } from './http2-connection.js';
import type { Operations } from './operations.js';
import type { UnaryOptions } from './unary.js';

export interface StreamOptions extends UnaryOptions {
  /** The request number of an answer; undefined if answers are in the order of the requests. */
  readonly numberOf?: ((message: Buffer) => number) | undefined;
}

const sampleEvery = 64;

/** Requests pipelined on one bidirectional gRPC stream per connection. */
export class StreamCalls implements Operations {
  readonly size = 1;
  unexpected = 0;
  answerBytes = 0;
  readonly #options: StreamOptions;
  readonly #lines: Line[] = [];
  #turn = 0;
  #answers = 0;

  private constructor(options: StreamOptions) {
    this.#options = options;
  }

  static async open(options: StreamOptions): Promise<StreamCalls> {
    const calls = new StreamCalls(options);
    for (let i = 0; i < options.connections; i++) {
      const line = new Line(options.numberOf, (message) => calls.#judge(message));
      const port = options.ports[i % options.ports.length] as number;
      line.connection = await Http2Connection.open('127.0.0.1', port, options.path, line);
      calls.#lines.push(line);
    }
    return calls;
  }

  start(done: (succeeded: boolean) => void): void {
    const line = this.#lines[this.#turn++ % this.#lines.length] as Line;
    const number = this.#options.nextNumber();
    line.call(number, this.#options.request(number), done);
  }

  close(): void {
    for (const { connection } of this.#lines) {
      connection?.close();
    }
  }

  #judge(message: Buffer): boolean {
    this.answerBytes = message.length;
    // Field 3 of an answer is an error; the second field begins after the request id.
    const tag = message[2 + (message[1] as number)] as number;
    const isError = this.#options.numberOf !== undefined && tag >> 3 === 3;
    if (this.#answers++ % sampleEvery === 0 && this.#options.expect?.isExpected(message) === false) {
      this.unexpected++;
    }
    return !isError;
  }
}

/** One stream, with its requests under way and its message parser. */
class Line implements StreamListener {
  connection: Http2Connection | undefined;
  #streamId = 0;
  /** By request number, as two requests can have the same call. */
  readonly #pending = new Map<number, ((succeeded: boolean) => void)[]>();
  readonly #inOrder: ((succeeded: boolean) => void)[] = [];
  #oldest = 0;
  #rest: Buffer = Buffer.alloc(0);

  constructor(
    private readonly numberOf: ((message: Buffer) => number) | undefined,
    private readonly judge: (message: Buffer) => boolean,
  ) {}

  call(number: number, request: Buffer, done: (succeeded: boolean) => void): void {
    if (!this.numberOf) {
      this.#inOrder.push(done);
    } else {
      const same = this.#pending.get(number);
      if (same) {
        same.push(done);
      } else {
        this.#pending.set(number, [done]);
      }
    }
    if (this.#streamId === 0) {
      this.#streamId = this.connection?.openStream(request, false) ?? 0;
    } else {
      this.connection?.send(this.#streamId, request);
    }
  }

  onData(_streamId: number, payload: Buffer): void {
    const input = this.#rest.length > 0 ? Buffer.concat([this.#rest, payload]) : payload;
    let offset = 0;
    while (input.length - offset >= 5) {
      const end = offset + 5 + input.readUInt32BE(offset + 1);
      if (end > input.length) {
        break;
      }
      const message = input.subarray(offset + 5, end);
      this.#take(message)?.(this.judge(message));
      offset = end;
    }
    this.#rest = input.subarray(offset);
  }

  onEnd(): void {
    throw new Error('the server ended the stream');
  }

  #take(message: Buffer): ((succeeded: boolean) => void) | undefined {
    if (!this.numberOf) {
      return this.#shift();
    }
    const number = this.numberOf(message);
    const waiting = this.#pending.get(number);
    const done = waiting?.shift();
    if (waiting?.length === 0) {
      this.#pending.delete(number);
    }
    return done;
  }

  /** Array.shift copies the rest of the array each time; this does so rarely. */
  #shift(): ((succeeded: boolean) => void) | undefined {
    const done = this.#inOrder[this.#oldest++];
    if (this.#oldest > 1024) {
      this.#inOrder.splice(0, this.#oldest);
      this.#oldest = 0;
    }
    return done;
  }
}
