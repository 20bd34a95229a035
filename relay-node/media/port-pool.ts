import { randomInt } from 'node:crypto';

/**
 * The relay's port pairs: an even port for RTP, the next one for RTCP (RFC 3550 section 11). The order is
 * random, because guessable ports invite strangers, and a returned pair goes to the end of the queue, so
 * that late packets of an old call do not meet a new one.
 */
export class PortPool {
  /** A ring of the even ports that are free. */
  readonly #ring: Uint16Array;
  #head = 0;
  #free: number;

  constructor(portMin: number, portMax: number) {
    const first = portMin + (portMin % 2);
    const pairs = Math.floor((portMax - first + 1) / 2);
    if (
      !Number.isInteger(portMin) ||
      !Number.isInteger(portMax) ||
      portMin < 1 ||
      portMax > 65_535 ||
      pairs < 1
    ) {
      throw new RangeError(`ports ${portMin}–${portMax} hold no pair of an even port and the next one`);
    }
    this.#ring = Uint16Array.from({ length: pairs }, (_, index) => first + 2 * index);
    this.#free = pairs;
    for (let last = pairs - 1; last > 0; last--) {
      this.#swap(last, randomInt(last + 1));
    }
  }

  get total(): number {
    return this.#ring.length;
  }

  get free(): number {
    return this.#free;
  }

  /** The even port of a pair that is free by the pool's own books; undefined when there is none. */
  take(): number | undefined {
    if (this.#free === 0) {
      return undefined;
    }
    const port = this.#ring[this.#head];
    this.#head = (this.#head + 1) % this.#ring.length;
    this.#free--;
    return port;
  }

  /** A certain one; false if it is not free, or not of the pool. */
  takeThis(port: number): boolean {
    for (let place = 0; place < this.#free; place++) {
      const at = (this.#head + place) % this.#ring.length;
      if (this.#ring[at] === port) {
        this.#swap(at, this.#head);
        this.take();
        return true;
      }
    }
    return false;
  }

  giveBack(port: number): void {
    if (this.#free === this.#ring.length) {
      throw new Error(`port ${port} was not taken`);
    }
    this.#ring[(this.#head + this.#free) % this.#ring.length] = port;
    this.#free++;
  }

  #swap(one: number, other: number): void {
    const kept = this.#ring[one] as number;
    this.#ring[one] = this.#ring[other] as number;
    this.#ring[other] = kept;
  }
}
