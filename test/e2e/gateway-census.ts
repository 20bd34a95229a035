import { setTimeout as delay } from 'node:timers/promises';
import type { Scope } from '../support/process.js';
import type { TestRelay } from './gateway-relays.js';

const periodMs = 100;
const mostListed = 1000;

/** Asks every relay again and again which calls it carries: who has ever carried which. */
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

  /** The relay that each call was seen on, by Call-ID; all of them, joined by plus signs, if there were more. */
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

/** What each relay says that it carries now. One that does not answer carries nothing. */
export async function carried(relays: readonly TestRelay[]): Promise<Map<string, string[]>> {
  const lists = relays.map(async ({ id, ng }): Promise<[string, string[]]> => {
    return [id, await ng.list(mostListed).catch(() => [])];
  });
  return new Map(await Promise.all(lists));
}

export async function carriedInAll(relays: readonly TestRelay[]): Promise<number> {
  return [...(await carried(relays)).values()].reduce((sum, calls) => sum + calls.length, 0);
}
