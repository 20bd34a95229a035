/** How packets to an address leave the host. */
export interface Route {
  readonly device: string;
  /** Of the device. */
  readonly index: number;
  /** Undefined: the address is on the link. */
  readonly gateway: string | undefined;
}

/** How a question is written: to an address, from one of the relay's own. */
export function wayTo(address: string, source: string): string {
  return `${address} from ${source}`;
}

/** Asks the system for ways, by which the answer is keyed. An address that cannot be reached, or is on this host, is not in the answer. @throws Error */
export type RouteResolver = (ways: readonly string[]) => Promise<ReadonlyMap<string, Route>>;

/** Far more than there are parties at a time. */
const maxAddresses = 65_536;
const maxAsked = 4096;

/** The routes to parties, as last seen. They are asked for many at a time. */
export class Routes {
  readonly #resolve: RouteResolver;
  readonly #known = new Map<string, Route | 'none'>();
  readonly #asked = new Set<string>();
  #asking = false;

  constructor(resolve: RouteResolver) {
    this.#resolve = resolve;
  }

  /** Undefined while it is not known: then it is asked for. `none` is asked for again after the next refresh. */
  find(address: string): Route | 'none' | undefined {
    const known = this.#known.get(address);
    if (known === undefined && this.#asked.size < maxAsked && this.#known.size < maxAddresses) {
      this.#asked.add(address);
      void this.#ask();
    }
    return known;
  }

  /** Asks again for these, and forgets all others. Never rejects: if the system does not answer, what was known still counts. */
  async refresh(addresses: Iterable<string>): Promise<void> {
    const wanted = [...new Set(addresses)];
    const fresh = new Map<string, Route | 'none'>();
    for (let from = 0; from < wanted.length; from += maxAsked) {
      const asked = wanted.slice(from, from + maxAsked);
      const answer = await this.#resolve(asked).catch(() => undefined);
      for (const address of asked) {
        fresh.set(address, answer ? (answer.get(address) ?? 'none') : (this.#known.get(address) ?? 'none'));
      }
    }
    this.#known.clear();
    for (const [address, route] of fresh) {
      this.#known.set(address, route);
    }
  }

  async #ask(): Promise<void> {
    if (this.#asking) {
      return;
    }
    this.#asking = true;
    while (this.#asked.size > 0) {
      const asked = [...this.#asked];
      const answer = await this.#resolve(asked).catch(() => undefined);
      for (const address of asked) {
        this.#asked.delete(address);
        this.#known.set(address, answer?.get(address) ?? 'none');
      }
    }
    this.#asking = false;
  }
}
