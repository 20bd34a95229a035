import { decodeTag } from '../../control/rtpproxy/timeout-notice.js';
import type { Binding } from '../../domain/binding.js';
import { HoldfastError } from '../../domain/error.js';
import type { RelayChange } from '../../domain/membership.js';
import { type Clock, sleep } from '../../runtime/clock.js';
import type { Logger } from '../../runtime/log.js';
import type { CallRouter, RelayList } from '../deps.js';

/**
 * A relay node that was started again, or has had no etcd for a moment, has registered its relay by then: a relay counts as lost
 * so long after it has left, ms.
 */
export const graceMs = 10_000;
/** So many calls at a time, with a pause after them: 500 a second at most. */
const batch = { calls: 50, pauseMs: 100 };
/** While the registry does not answer. */
const retryMs = 1000;
const mostTries = 60;

export interface LostSessionsDeps {
  readonly router: Pick<CallRouter, 'withNotices' | 'takeNotices'>;
  readonly directory: Pick<RelayList, 'list' | 'subscribe'>;
  /** A notice in the words in which a relay would have told it. */
  readonly tell: (line: string) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * A relay that has died tells nobody of its timeouts. So whoever has asked to be told is told here, for each call that is still
 * bound to the lost relay: the proxy ends the call, or sends a re-INVITE that moves it. The bindings say whom to tell what, so it
 * does not matter which gateway was asked, nor whether it has restarted since; one of the gateways tells it.
 */
export class LostSessions {
  readonly #deps: LostSessionsDeps;
  readonly #stopping = new AbortController();
  #unsubscribe: () => void = () => {};

  constructor(deps: LostSessionsDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#unsubscribe = this.#deps.directory.subscribe((change) => {
      const instance = lostInstance(change);
      if (instance !== undefined) {
        void this.#lost(instance);
      }
    });
  }

  stop(): void {
    this.#unsubscribe();
    this.#stopping.abort();
  }

  async #lost(instance: string): Promise<void> {
    const { directory, clock, log } = this.#deps;
    const { signal } = this.#stopping;
    await sleep(clock, graceMs, signal);
    if (signal.aborted || directory.list().some(({ relay }) => relay.instance === instance)) {
      return;
    }
    /** By the keys of their calls. */
    const told = new Set<string>();
    let reason = await this.#tellAll(instance, told);
    for (let tries = 1; reason !== undefined && tries < mostTries && !signal.aborted; tries++) {
      await sleep(clock, retryMs, signal);
      reason = await this.#tellAll(instance, told);
    }
    if (told.size > 0) {
      log.warn(
        { instance, calls: told.size },
        'a relay is lost; proxies are told that its calls have timed out',
      );
    }
    if (reason !== undefined && !signal.aborted) {
      log.warn({ instance, reason }, 'proxies are not told of timeouts on a lost relay');
    }
  }

  /** @returns why there may be more to tell, or undefined */
  async #tellAll(instance: string, told: Set<string>): Promise<string | undefined> {
    const { router, clock } = this.#deps;
    const { signal } = this.#stopping;
    try {
      let next: Binding[] = [];
      const tellNext = async () => {
        await Promise.all(next.map((binding) => this.#tell(binding, told)));
        next = [];
      };
      for await (const binding of router.withNotices(instance)) {
        if (signal.aborted) {
          return undefined;
        }
        if (!told.has(binding.call.key) && next.push(binding) === batch.calls) {
          await tellNext();
          await sleep(clock, batch.pauseMs, signal);
        }
      }
      await tellNext();
      return undefined;
    } catch (error) {
      if (!(error instanceof HoldfastError)) {
        throw error;
      }
      return error.message;
    }
  }

  /** Rather twice than never: where nobody knows whether the notices are taken, they are told. */
  async #tell(binding: Binding, told: Set<string>): Promise<void> {
    const taken = await this.#deps.router.takeNotices(binding).catch((error: unknown) => {
      if (error instanceof HoldfastError && error.code === 'unavailable') {
        return binding.notices;
      }
      throw error;
    });
    if (taken.length > 0) {
      told.add(binding.call.key);
    }
    for (const notice of taken) {
      const line = decodeTag(notice);
      if (line !== undefined) {
        this.#deps.tell(line);
      }
    }
  }
}

/** The life of a relay that is not registered any more. */
function lostInstance(change: RelayChange): string | undefined {
  if (change.type === 'left') {
    return change.relay.relay.instance;
  }
  const before = change.type === 'changed' ? change.before.relay.instance : undefined;
  return before === change.relay.relay.instance ? undefined : before;
}
