import type { SimProcess } from '../kernel/process.js';
import type { Network } from './network.js';

/** What is sent, but not delivered, before the sender is to wait. */
const window = 256;

/** One direction of a connection: what is sent arrives once, in order, if at all. */
export class Stream {
  #lastAtMs = 0;
  #outstanding = 0;
  #isCut = false;
  #onDrain: () => void = () => {};

  constructor(
    readonly network: Network,
    readonly from: SimProcess,
    readonly to: SimProcess,
  ) {}

  /** @returns false if the sender should wait until `onDrain` */
  send(deliver: () => void): boolean {
    const { network, from, to } = this;
    this.#outstanding++;
    network.sendSegment(from.host, to.host, () => {
      const { nowMs } = network.scheduler;
      const atMs = Math.max(this.#lastAtMs, nowMs + network.delayMs(from.host, to.host));
      this.#lastAtMs = atMs;
      to.after(atMs - nowMs, () => {
        this.#outstanding--;
        if (this.#outstanding === window - 1 && !from.isDead) {
          from.after(0, () => this.#onDrain());
        }
        if (!this.#isCut) {
          deliver();
        }
      });
    });
    return this.#outstanding < window;
  }

  onDrain(task: () => void): void {
    this.#onDrain = task;
  }

  /** What is under way never arrives. */
  cut(): void {
    this.#isCut = true;
  }
}
