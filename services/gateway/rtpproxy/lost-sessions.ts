import { decodeTag, type TimeoutNotice, unwrapNotice } from '../../control/rtpproxy/timeout-notice.js';
import type { Call } from '../../domain/call.js';
import { HoldfastError } from '../../domain/error.js';
import type { RelayChange } from '../../domain/membership.js';
import { type Clock, sleep } from '../../runtime/clock.js';
import type { Logger } from '../../runtime/log.js';
import type { CallRouter, RelayList } from '../deps.js';
import type { SessionMemory } from './session-memory.js';

/**
 * A relay node that was started again, or has had no etcd for a moment, has registered its relay by then: a relay counts as lost
 * so long after it has left, ms.
 */
export const graceMs = 10_000;
/** So many calls at a time, with a pause after them: 500 a second at most. */
const batch = { calls: 50, pauseMs: 100 };
/** While the registry does not answer. */
const retryMs = 1000;
const mostRetries = 60;

export interface LostSessionsDeps {
  readonly router: Pick<CallRouter, 'lookup'>;
  readonly directory: Pick<RelayList, 'list' | 'subscribe'>;
  readonly memory: SessionMemory;
  readonly tell: (notice: TimeoutNotice) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * A relay that has died tells nobody of its timeouts. So whoever has asked to be told is told here, for each call that is still
 * bound to the lost relay: the proxy ends the call, or sends a re-INVITE that moves it.
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
    const { directory, memory, clock, log } = this.#deps;
    const { signal } = this.#stopping;
    await sleep(clock, graceMs, signal);
    if (signal.aborted || directory.list().some(({ relay }) => relay.instance === instance)) {
      return;
    }
    const calls = [...memory.notifyingOn(instance)];
    let told = 0;
    for (let at = 0; at < calls.length && !signal.aborted; at += batch.calls) {
      const outcomes = await Promise.all(
        calls.slice(at, at + batch.calls).map(({ call, notify }) => this.#tell(call, instance, notify)),
      );
      told += outcomes.filter((isTold) => isTold).length;
      await sleep(clock, batch.pauseMs, signal);
    }
    if (told > 0) {
      log.warn({ instance, calls: told }, 'a relay is lost; proxies are told that its calls have timed out');
    }
  }

  /** False for a call that has moved or ended, and for one that cannot be looked up. */
  async #tell(call: Call, instance: string, tags: ReadonlySet<string>): Promise<boolean> {
    if (!(await this.#isLost(call, instance))) {
      return false;
    }
    for (const tag of tags) {
      const notice = unwrapNotice(decodeTag(tag) ?? '');
      if (notice) {
        this.#deps.tell(notice);
      }
    }
    return true;
  }

  async #isLost(call: Call, instance: string): Promise<boolean> {
    const { router, clock, log } = this.#deps;
    const { signal } = this.#stopping;
    let reason = '';
    for (let retries = 0; retries < mostRetries && !signal.aborted; retries++) {
      try {
        const now = await router.lookup(call, { current: true });
        const isThere = now?.binding.instance === instance && now.relay === undefined;
        return isThere && now.binding.state !== 'released';
      } catch (error) {
        if (!(error instanceof HoldfastError)) {
          throw error;
        }
        reason = error.message;
        await sleep(clock, retryMs, signal);
      }
    }
    log.warn({ callId: call.callId, reason }, 'the timeout of a call on a lost relay is not told');
    return false;
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
