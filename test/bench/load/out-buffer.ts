import type { Socket } from 'node:net';

const firstBytes = 64 * 1024;

/** Collects the writes of one turn of the event loop, and sends them in one system call at its end. */
export class OutBuffer {
  #buffer = Buffer.allocUnsafeSlow(firstBytes);
  #length = 0;

  constructor(private readonly socket: Socket) {}

  bytes(bytes: Buffer): void {
    const at = this.#take(bytes.length);
    bytes.copy(this.#buffer, at);
  }

  uint16(value: number): void {
    const at = this.#take(2);
    this.#buffer.writeUInt16BE(value, at);
  }

  uint32(value: number): void {
    const at = this.#take(4);
    this.#buffer.writeUInt32BE(value, at);
  }

  /** Writes the header of an HTTP/2 frame. */
  frame(length: number, type: number, flags: number, streamId: number): void {
    const at = this.#take(9);
    this.#buffer.writeUIntBE(length, at, 3);
    this.#buffer[at + 3] = type;
    this.#buffer[at + 4] = flags;
    this.#buffer.writeUInt32BE(streamId, at + 5);
  }

  #take(length: number): number {
    const at = this.#length;
    if (at === 0) {
      process.nextTick(() => this.#flush());
    }
    if (at + length > this.#buffer.length) {
      const larger = Buffer.allocUnsafeSlow((at + length) * 2);
      this.#buffer.copy(larger, 0, 0, at);
      this.#buffer = larger;
    }
    this.#length = at + length;
    return at;
  }

  #flush(): void {
    const bytes = Buffer.from(this.#buffer.subarray(0, this.#length));
    this.#length = 0;
    if (!this.socket.destroyed) {
      this.socket.write(bytes);
    }
  }
}
