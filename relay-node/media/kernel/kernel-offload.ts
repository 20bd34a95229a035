import type { Family } from '../interfaces.js';
import type { MediaSource, Offload } from '../offload.js';
import type { KernelForwarder } from './forwarder.js';
import type { StreamCount } from './ruleset.js';

/** The kernel's forwarders, one for each version of IP: a packet of one is never sent on as one of the other. */
export class KernelOffload implements Offload {
  readonly #forwarders: readonly KernelForwarder[];

  constructor(
    forwarders: readonly KernelForwarder[],
    readonly families: readonly Family[],
  ) {
    this.#forwarders = forwarders;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#forwarders.map((each) => each.stop()));
  }

  /** Ends, and leaves everything in the kernel for the next process. */
  async leave(): Promise<void> {
    await Promise.all(this.#forwarders.map((each) => each.leave()));
  }

  get countedUntilMs(): number {
    return Math.min(...this.#forwarders.map(({ countedUntilMs }) => countedUntilMs));
  }

  get streams(): number {
    return this.#sum(({ streams }) => streams);
  }

  get rebuilds(): number {
    return this.#sum(({ rebuilds }) => rebuilds);
  }

  forwarded(source: MediaSource, packet: Buffer): void {
    for (const each of this.#forwarders) {
      each.forwarded(source, packet);
    }
  }

  takeBack(source: MediaSource): void {
    for (const each of this.#forwarders) {
      each.takeBack(source);
    }
  }

  takenBack(): Promise<void> | undefined {
    const pending = this.#forwarders.flatMap((each) => each.takenBack() ?? []);
    return pending.length > 0 ? Promise.all(pending).then(() => undefined) : undefined;
  }

  carries(source: MediaSource): boolean {
    return this.#forwarders.some((each) => each.carries(source));
  }

  counted(source: MediaSource): StreamCount {
    return {
      packets: this.#sum((each) => each.counted(source).packets),
      bytes: this.#sum((each) => each.counted(source).bytes),
    };
  }

  async count(sources: Iterable<MediaSource>): Promise<void> {
    const all = [...sources];
    await Promise.all(this.#forwarders.map((each) => each.count(all)));
  }

  #sum(of: (forwarder: KernelForwarder) => number): number {
    return this.#forwarders.reduce((total, each) => total + of(each), 0);
  }
}
