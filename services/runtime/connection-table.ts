import { isIPv6 } from 'node:net';
import type { Duplex } from 'node:stream';

/** A socket, or what wraps one. */
export interface Connection extends Duplex {
  readonly remoteAddress?: string | undefined;
}

export interface ConnectionLimits {
  /** Connections of all sources at the same time. */
  readonly most: number;
  /** Of one source. */
  readonly mostPerSource: number;
  /** Of one source, of those that have not shown yet that they speak the protocol. */
  readonly mostSilentPerSource: number;
  /** Of one source, of those that have asked nothing yet, whether or not they speak the protocol; as many as there are unless given. */
  readonly mostUnusedPerSource?: number;
}

/**
 * silent: nothing valid has come yet. greeted: it speaks the protocol, and has asked nothing. idle: its requests are
 * answered. busy: with requests in progress.
 */
type Phase = 'silent' | 'greeted' | 'idle' | 'busy';

/** In the order in which they came to this phase. */
type Source = Readonly<Record<Phase, Set<Connection>>>;

/**
 * The open connections of a server, by source:
 *
 *     admit → silent ─► greeted ─► busy ◄─► idle
 *               │          │                   │
 *               └──────────┴───────────────────┴── closed when there is no room for a new one: the oldest
 *                                                  that has asked nothing yet, else the one that is idle longest
 *
 * A new connection is worth more than an old one that does nothing: so connections that are opened and left alone, however
 * many, shut nobody out. Those with requests in progress are never closed here; if there are no others, the new one is refused.
 */
export class ConnectionTable {
  readonly #limits: ConnectionLimits;
  readonly #sources = new Map<string, Source>();
  readonly #phases = new Map<Connection, { readonly source: Source; readonly order: number; phase: Phase }>();
  #admitted = 0;

  constructor(limits: ConnectionLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#phases.size;
  }

  /** Takes in a new connection, or closes it: then false. */
  admit(socket: Connection): boolean {
    const { remoteAddress } = socket;
    // It was closed already while it waited to be accepted.
    if (remoteAddress === undefined || !this.#makeRoom(sourceOf(remoteAddress))) {
      socket.destroy();
      return false;
    }
    const key = sourceOf(remoteAddress);
    const source = this.#sources.get(key) ?? newSource();
    this.#sources.set(key, source);
    source.silent.add(socket);
    this.#phases.set(socket, { source, order: this.#admitted++, phase: 'silent' });
    socket.once('close', () => {
      this.#remove(socket);
      if (sizeOf(source) === 0 && this.#sources.get(key) === source) {
        this.#sources.delete(key);
      }
    });
    return true;
  }

  isSilent(socket: Connection): boolean {
    return this.#phases.get(socket)?.phase === 'silent';
  }

  /** It speaks the protocol. */
  greeted(socket: Connection): void {
    this.#enter(socket, 'greeted');
  }

  /** Its requests are answered. */
  idle(socket: Connection): void {
    this.#enter(socket, 'idle');
  }

  /** It has a request in progress. */
  busy(socket: Connection): void {
    this.#enter(socket, 'busy');
  }

  /** Those that nobody owns yet. */
  closeSilent(): void {
    for (const { silent } of this.#sources.values()) {
      while (this.#close(silent)) {}
    }
  }

  #makeRoom(key: string): boolean {
    const { most, mostPerSource, mostSilentPerSource, mostUnusedPerSource = mostPerSource } = this.#limits;
    const own = this.#sources.get(key);
    if (own && own.silent.size >= mostSilentPerSource) {
      this.#close(own.silent);
    }
    if (own && own.silent.size + own.greeted.size >= mostUnusedPerSource) {
      this.#closeOneOf(own);
    }
    if (own && sizeOf(own) >= mostPerSource && !this.#closeOneOf(own)) {
      return false;
    }
    return this.size < most || this.#closeOneOf(this.#largest());
  }

  #closeOneOf(source: Source): boolean {
    const [silent] = source.silent;
    const [greeted] = source.greeted;
    const silentFirst = silent && greeted ? this.#orderOf(silent) < this.#orderOf(greeted) : silent;
    return this.#close(silentFirst ? source.silent : source.greeted) || this.#close(source.idle);
  }

  /** The oldest. */
  #close(sockets: Set<Connection>): boolean {
    const [oldest] = sockets;
    if (!oldest) {
      return false;
    }
    this.#remove(oldest);
    oldest.destroy();
    return true;
  }

  #orderOf(socket: Connection): number {
    return this.#phases.get(socket)?.order ?? 0;
  }

  #largest(): Source {
    return [...this.#sources.values()].reduce((one, other) => (sizeOf(other) > sizeOf(one) ? other : one));
  }

  #enter(socket: Connection, phase: Phase): void {
    const entry = this.#phases.get(socket);
    if (entry) {
      entry.source[entry.phase].delete(socket);
      entry.source[phase].add(socket);
      entry.phase = phase;
    }
  }

  #remove(socket: Connection): void {
    const entry = this.#phases.get(socket);
    this.#phases.delete(socket);
    entry?.source[entry.phase].delete(socket);
  }
}

const newSource = (): Source => ({
  silent: new Set(),
  greeted: new Set(),
  idle: new Set(),
  busy: new Set(),
});

const sizeOf = ({ silent, greeted, idle, busy }: Source) =>
  silent.size + greeted.size + idle.size + busy.size;

/** Whoever has one IPv6 address has a network of them (RFC 6177): its first 64 bits are the source. */
export function sourceOf(address: string): string {
  if (!isIPv6(address) || address.includes('.')) {
    return address;
  }
  const [head = '', tail] = address.split('::');
  const groups = head.split(':').filter((group) => group !== '');
  const after = tail?.split(':').filter((group) => group !== '') ?? [];
  const zeros = tail === undefined ? 0 : 8 - groups.length - after.length;
  return [...groups, ...new Array<string>(zeros).fill('0'), ...after].slice(0, 4).join(':');
}
