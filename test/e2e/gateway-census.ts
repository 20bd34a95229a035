import { setTimeout as delay } from 'node:timers/promises';
import type { Scope } from '../support/process.js';
import type { TestRelay } from './gateway-relays.js';

const periodMs = 100;
const mostListed = 1000;

/** Polls every relay for its calls, and records which relays have ever carried each call. */
export class Census {
  readonly #carriers = new Map<string, Set<string>>();
  readonly #running: Promise<void>;
  #ended = false;

  constructor(
    scope: Scope,
    private readonly relays: readonly TestRelay[],
  ) {
    this.#running = this.#run();
    scope.teardown(async () => {
      await this.end();
    });
  }

  /** The relay of each call, by Call-ID; several are joined by plus signs. */
  async end(): Promise<Map<string, string>> {
    this.#ended = true;
    await this.#running;
    await this.#look();
    const carriers = [...this.#carriers].map(([callId, relays]): [string, string] => [
      callId,
      [...relays].join('+'),
    ]);
    return new Map(carriers.sort(([one], [other]) => one.localeCompare(other)));
  }

  async #run(): Promise<void> {
    while (!this.#ended) {
      await this.#look();
      await delay(periodMs);
    }
  }

  async #look(): Promise<void> {
    for (const [id, calls] of await carried(this.relays)) {
      for (const callId of calls) {
        this.#carriers.set(callId, (this.#carriers.get(callId) ?? new Set()).add(id));
      }
    }
  }
}

/** The calls that each relay carries now. A relay that does not answer carries none; an rtpproxy lists none. */
export async function carried(relays: readonly TestRelay[]): Promise<Map<string, string[]>> {
  const listing = relays.filter(({ kind }) => kind !== 'rtpproxy');
  const lists = listing.map(async ({ id, ng }): Promise<[string, string[]]> => {
    return [id, await ng.list(mostListed).catch(() => [])];
  });
  return new Map(await Promise.all(lists));
}

export async function carriedInAll(relays: readonly TestRelay[]): Promise<number> {
  const counts = await Promise.all(relays.map((relay) => relay.sessions().catch(() => 0)));
  return counts.reduce((sum, count) => sum + count, 0);
}
