import type { StoredBinding } from '../../domain/binding.js';
import type { Events } from '../../domain/events.js';
import type { RegisteredRelay } from '../../domain/relay.js';
import { type Clock, sleep } from '../../runtime/clock.js';
import type { BindingCache } from '../cache/binding-cache.js';
import type { Selector } from '../selector.js';
import type { TtlPolicy } from '../ttl-policy.js';
import { isOutage } from '../write-result.js';
import type { CarriedCalls, RelayInquiry } from './relay-inquiry.js';

/** Relays register again within a lease's time; what has no relay by then is dropped. */
const timeoutMs = 30_000;
const pausePeriodMs = 250;
/** Bindings written at once; they share commits. */
const maxUnderWay = 64;

export interface RebuilderDeps {
  readonly cache: BindingCache;
  readonly selector: Pick<Selector, 'reassert'>;
  readonly ttlPolicy: TtlPolicy;
  readonly inquiry: RelayInquiry;
  readonly events: Events;
  readonly clock: Clock;
}

/**
 * Writes again what etcd has lost: the bindings that this replica remembers and whose relay still carries the call. A call
 * that its relay has ended stays ended.
 */
export class Rebuilder {
  readonly #deps: RebuilderDeps;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  #isWanted = false;

  constructor(deps: RebuilderDeps) {
    this.#deps = deps;
  }

  /** etcd may have lost bindings. */
  rebuild(): void {
    this.#isWanted = true;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#isWanted && !this.#stopping.signal.aborted) {
      this.#isWanted = false;
      await this.#rebuild();
    }
  }

  async #rebuild(): Promise<void> {
    const { cache, clock, events } = this.#deps;
    const { signal } = this.#stopping;
    const startedAtMs = clock.monotonicMs();
    const counts = { reasserted: 0, ended: 0, left: 0 };
    for (;;) {
      counts.left = 0;
      const lists = new Map<RegisteredRelay, Promise<CarriedCalls | undefined>>();
      for (const survivors of cache.survivors()) {
        const waiting = survivors.filter(({ binding }) => binding.state !== 'released');
        const work = async () => {
          for (let next = waiting.pop(); next && !signal.aborted; next = waiting.pop()) {
            counts[await this.#restore(next, lists)]++;
          }
        };
        await Promise.all(Array.from({ length: Math.min(maxUnderWay, waiting.length) }, work));
      }
      const isOver = counts.left === 0 || clock.monotonicMs() - startedAtMs > timeoutMs;
      if (isOver || signal.aborted || this.#isWanted) {
        break;
      }
      await sleep(clock, pausePeriodMs, signal);
    }
    events.bindingsReasserted(counts);
  }

  async #restore(
    stored: StoredBinding,
    lists: Map<RegisteredRelay, Promise<CarriedCalls | undefined>>,
  ): Promise<'reasserted' | 'ended' | 'left'> {
    const { ttlPolicy, selector, cache, inquiry } = this.#deps;
    const { call } = stored.binding;
    const relay = ttlPolicy.relayOf(stored.binding);
    if (!relay) {
      return 'left';
    }
    const list = lists.get(relay) ?? inquiry.list(relay);
    lists.set(relay, list);
    const { callIds, isComplete } = (await list) ?? { callIds: new Set<string>(), isComplete: false };
    const isListed = callIds.has(call.callId);
    const isCarried = isListed || (isComplete ? false : await inquiry.carries(relay, call));
    // It may have been released unheard; one that is about to reach its relay is bound anew by its next request.
    if (isCarried === false) {
      cache.forget(call);
      return 'ended';
    }
    try {
      return (await selector.reassert(stored)) ? 'reasserted' : 'left';
    } catch (error) {
      if (isOutage(error)) {
        return 'left';
      }
      throw error;
    }
  }
}
