import { Http2Connection, type StreamListener } from './http2-connection.js';
import type { Operations } from './operations.js';

export interface UnaryOptions {
  readonly ports: readonly number[];
  readonly connections: number;
  readonly path: string;
  readonly request: (number: number) => Buffer;
  readonly nextNumber: () => number;
  readonly expect?: { isExpected(message: Buffer): boolean } | undefined;
}

/** One of this many answers is decoded and checked. */
const sampleEvery = 64;

interface Pending {
  readonly done: (succeeded: boolean) => void;
  answer: Buffer | undefined;
}

/** Unary gRPC calls on several connections in turn. */
export class UnaryCalls implements Operations {
  readonly size = 1;
  unexpected = 0;
  answerBytes = 0;
  readonly #options: UnaryOptions;
  readonly #lines: Line[] = [];
  #turn = 0;
  #answers = 0;

  private constructor(options: UnaryOptions) {
    this.#options = options;
  }

  static async open(options: UnaryOptions): Promise<UnaryCalls> {
    const calls = new UnaryCalls(options);
    for (let i = 0; i < options.connections; i++) {
      const line = new Line((answer) => calls.#judge(answer));
      const port = options.ports[i % options.ports.length] as number;
      line.connection = await Http2Connection.open('127.0.0.1', port, options.path, line);
      calls.#lines.push(line);
    }
    return calls;
  }

  start(done: (succeeded: boolean) => void): void {
    const line = this.#lines[this.#turn++ % this.#lines.length] as Line;
    line.call(this.#options.request(this.#options.nextNumber()), done);
  }

  close(): void {
    for (const { connection } of this.#lines) {
      connection?.close();
    }
  }

  #judge(answer: Buffer | undefined): boolean {
    if (answer === undefined) {
      return false;
    }
    this.answerBytes = answer.length - 5;
    if (
      this.#answers++ % sampleEvery === 0 &&
      this.#options.expect?.isExpected(answer.subarray(5)) === false
    ) {
      this.unexpected++;
    }
    return true;
  }
}

/** One connection with its calls under way. */
class Line implements StreamListener {
  connection: Http2Connection | undefined;
  readonly #pending = new Map<number, Pending>();

  constructor(private readonly judge: (answer: Buffer | undefined) => boolean) {}

  call(request: Buffer, done: (succeeded: boolean) => void): void {
    const streamId = this.connection?.openStream(request, true);
    if (streamId !== undefined) {
      this.#pending.set(streamId, { done, answer: undefined });
    }
  }

  onData(streamId: number, payload: Buffer): void {
    const pending = this.#pending.get(streamId);
    if (pending) {
      pending.answer = pending.answer ? Buffer.concat([pending.answer, payload]) : payload;
    }
  }

  onEnd(streamId: number, failed: boolean): void {
    if (streamId === 0) {
      throw new Error('the server closed the connection');
    }
    const pending = this.#pending.get(streamId);
    if (!pending) {
      return;
    }
    this.#pending.delete(streamId);
    // Trailers without a message contain an error.
    pending.done(this.judge(failed ? undefined : pending.answer));
  }
}
