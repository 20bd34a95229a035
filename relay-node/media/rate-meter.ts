/** Per second, from counters that only grow. */
export class RateMeter {
  packets = 0;
  bytes = 0;
  #last = { atMs: 0, packets: 0, bytes: 0 };

  start(atMs: number): void {
    this.#last = { atMs, packets: 0, bytes: 0 };
  }

  /** @param atMs when they had these values, by the monotonic clock; the same time again changes nothing */
  measure(atMs: number, packets: number, bytes: number): void {
    const seconds = (atMs - this.#last.atMs) / 1000;
    if (seconds > 0) {
      this.packets = Math.round((packets - this.#last.packets) / seconds);
      this.bytes = Math.round((bytes - this.#last.bytes) / seconds);
      this.#last = { atMs, packets, bytes };
    }
  }
}
