import type { Random } from '../../chaos/plan/random.js';
import type { Host, SimProcess } from '../kernel/process.js';
import type { Scheduler } from '../kernel/scheduler.js';

/** How packets from one host to another fare. */
export interface LinkState {
  /** `silent`: packets vanish, and nobody is told (a partition, a half-open connection). `refused`: connections are reset. */
  readonly carries: 'all' | 'nothing' | 'refused';
  /** Added to each packet, ms. */
  readonly delayMs: number;
  /** Shares of datagrams. */
  readonly loss: number;
  readonly duplicates: number;
  /** Share of datagrams that are late by up to 300 ms, so that others overtake them. */
  readonly reorders: number;
  /** What the system answers to the sender of a datagram. */
  readonly errno: string | undefined;
}

export const healthy: LinkState = {
  carries: 'all',
  delayMs: 0,
  loss: 0,
  duplicates: 0,
  reorders: 0,
  errno: undefined,
};

const latencyMs = { least: 0.1, most: 0.6 };
const lateMs = 300;

interface Link {
  state: LinkState;
  /** Segments of connections that are sent again when the link carries them. */
  readonly held: (() => void)[];
}

/** All hosts, and how packets get from one to another. */
export class Network {
  readonly #links = new Map<string, Link>();
  readonly #changes = new Set<() => void>();
  #nextPort = 32_768;

  constructor(
    readonly scheduler: Scheduler,
    readonly random: Random,
  ) {}

  link(from: Host, to: Host): LinkState {
    return this.#link(from, to).state;
  }

  /** One way only: a link that is dead one way is half-open. */
  setLink(from: Host, to: Host, state: LinkState): void {
    const link = this.#link(from, to);
    link.state = state;
    if (state.carries === 'all') {
      for (const send of link.held.splice(0)) {
        send();
      }
    } else if (state.carries === 'refused') {
      link.held.length = 0;
    }
    for (const listener of [...this.#changes]) {
      listener();
    }
  }

  /** The listener hears of each change of a link. */
  onChange(listener: () => void): () => void {
    this.#changes.add(listener);
    return () => this.#changes.delete(listener);
  }

  /** True if packets get there and back, and the other process reads them. */
  reaches(from: SimProcess, to: SimProcess): boolean {
    return (
      this.link(from.host, to.host).carries === 'all' &&
      this.link(to.host, from.host).carries === 'all' &&
      !to.isFrozen
    );
  }

  newPort(): number {
    return this.#nextPort++;
  }

  delayMs(from: Host, to: Host): number {
    const { delayMs } = this.link(from, to);
    return latencyMs.least + this.random.next() * (latencyMs.most - latencyMs.least) + delayMs;
  }

  /** Delivers a datagram once, twice or never. */
  sendDatagram(from: Host, to: Host, deliver: (delayMs: number) => void): void {
    const { carries, loss, duplicates, reorders } = this.link(from, to);
    if (carries === 'nothing' || this.random.chance(loss)) {
      return;
    }
    for (let copies = this.random.chance(duplicates) ? 2 : 1; copies > 0; copies--) {
      const lateByMs = this.random.chance(reorders) ? this.random.next() * lateMs : 0;
      deliver(this.delayMs(from, to) + lateByMs);
    }
  }

  #link(from: Host, to: Host): Link {
    const key = `${from.address} ${to.address}`;
    let link = this.#links.get(key);
    if (!link) {
      link = { state: healthy, held: [] };
      this.#links.set(key, link);
    }
    return link;
  }

  /** Sends a segment of a connection now, or when the link carries it again. */
  sendSegment(from: Host, to: Host, send: () => void): void {
    const link = this.#link(from, to);
    if (link.state.carries === 'nothing') {
      link.held.push(send);
    } else {
      send();
    }
  }
}
