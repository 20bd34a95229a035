/** The part of a server's stream that writing needs: gRPC's own types also carry the type that it reads. */
export interface Writing<T> {
  readonly destroyed: boolean;
  readonly cancelled: boolean;
  write(message: T): boolean;
  on(event: string, listener: () => void): unknown;
}

/** The writing side of a stream, for several writers that wait together while the client does not read. */
export class StreamWriter<T> {
  readonly #stream: Writing<T>;
  #waiting: (() => void)[] = [];

  constructor(stream: Writing<T>) {
    this.#stream = stream;
    for (const event of ['drain', 'close', 'cancelled', 'error'] as const) {
      stream.on(event, () => this.#release());
    }
  }

  /** True once the client is gone: what is written is dropped. */
  get isOver(): boolean {
    return this.#stream.destroyed || this.#stream.cancelled;
  }

  /** @returns undefined if the stream accepts more at once; otherwise a promise that resolves when it does, or is over */
  write(message: T): Promise<void> | undefined {
    if (this.isOver || this.#stream.write(message) || this.isOver) {
      return undefined;
    }
    return new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #release(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resume of waiting) {
      resume();
    }
  }
}
