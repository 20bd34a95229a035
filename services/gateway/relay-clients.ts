import { NgClient } from '../control/ng/client.js';
import { parseAddress } from '../runtime/address.js';
import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';

/**
 * One ng client per relay. rtpengine tells duplicates by the cookie alone, so two proxies that happen to use one
 * cookie would get each other's answers; here every transaction with a relay has a cookie of its own.
 */
export class RelayClients {
  readonly #clients = new Map<string, NgClient>();

  constructor(
    private readonly clock: Clock,
    private readonly log: Logger,
  ) {}

  /** The client of the relay at this control URL, or undefined if no ng is spoken there. */
  get(controlUrl: string): NgClient | undefined {
    const known = this.#clients.get(controlUrl);
    if (known) {
      return known;
    }
    const address = controlUrl.startsWith('udp:') ? parseAddress(controlUrl.slice(4)) : undefined;
    if (!address) {
      return undefined;
    }
    const client = new NgClient({ ...address, clock: this.clock, log: this.log });
    this.#clients.set(controlUrl, client);
    return client;
  }

  /** The relay is gone: whoever waits for it is told at once. */
  async drop(controlUrl: string): Promise<void> {
    const client = this.#clients.get(controlUrl);
    this.#clients.delete(controlUrl);
    await client?.stop();
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#clients.keys()].map((url) => this.drop(url)));
  }
}
