import type { Call } from '../../domain/call.js';
import { BoundedMap } from '../../runtime/bounded-map.js';
import { type Clock, sleep } from '../../runtime/clock.js';
import { each } from '../../runtime/each.js';
import type { Binder } from '../binder.js';
import type { CachedBindingStore } from '../cached-store.js';
import type { BindingRepair } from '../carried/binding-repair.js';
import { newRequestId } from '../request-id.js';
import type { SelectRequest } from '../requests.js';
import { isOutage } from '../write-result.js';

/** Most calls that are remembered as used, and characters of their Call-IDs; those that were used longest ago go first. */
const capacity = 65_536;
const mostCharacters = 8 << 20;
/** Looked up at once. */
const maxUnderWay = 64;
/** One that etcd does not confirm, or whose relay is awaited, is selected again for so long; its next use may do it later. */
const timeoutMs = 30_000;
const pauseMs = 250;

export interface UsedCallsDeps {
  readonly repair: Pick<BindingRepair, 'read' | 'goesOn' | 'find' | 'adopt'>;
  readonly binder: Pick<Binder, 'bind'>;
  readonly cachedStore: Pick<CachedBindingStore, 'lost'>;
  readonly clock: Clock;
  /** Aborts when this replica stops. */
  readonly stopping: AbortSignal;
}

/** What is known of the last use of a call. */
type Use = Pick<SelectRequest, 'call' | 'inDialog' | 'maybeCarried'>;

/**
 * Calls that were answered from memory while etcd was away. Once it is back each is selected again: its time runs from then, and one
 * that another replica had released unheard goes on, if its relay carries it.
 */
export class UsedCalls {
  readonly #deps: UsedCallsDeps;
  /** By the key of the call, the one that was used last at the end. */
  readonly #uses = new BoundedMap<Use>({
    entries: capacity,
    weight: mostCharacters,
    weigh: ({ call }) => call.callId.length,
  });

  constructor(deps: UsedCallsDeps) {
    this.#deps = deps;
  }

  note({ call, inDialog, maybeCarried }: Use): void {
    this.#uses.set(call.key, { call, ...(inDialog && { inDialog }), ...(maybeCarried && { maybeCarried }) });
  }

  /** It has ended. */
  forget({ key }: Call): void {
    this.#uses.delete(key);
  }

  /** etcd answers again. Resolves when that is done, or etcd is lost again. */
  async goOn(): Promise<void> {
    const { cachedStore, clock, stopping } = this.#deps;
    const untilMs = clock.monotonicMs() + timeoutMs;
    for (;;) {
      const uses = this.#uses.values();
      this.#uses.clear();
      await each(uses, maxUnderWay, (use) => this.#select(use), stopping);
      const isOver = this.#uses.size === 0 || cachedStore.lost || stopping.aborted;
      if (isOver || clock.monotonicMs() > untilMs) {
        return;
      }
      await sleep(clock, pauseMs, stopping);
    }
  }

  async #select(use: Use): Promise<void> {
    const { repair, binder } = this.#deps;
    try {
      const found = await repair.read(use.call);
      const { binding } = found;
      // It may have been released after it was used here: a use of that time does not begin it again.
      if (binding?.state === 'released' && !(await repair.goesOn({ ...use, inDialog: true }, found))) {
        return;
      }
      if (binding) {
        await binder.bind({ ...use, requestId: newRequestId(), constraints: {} });
        return;
      }
      // Nothing is bound that no relay carries: it has ended.
      const carrier = await repair.find(use.call);
      if (carrier) {
        await repair.adopt(use.call, carrier);
      }
    } catch (error) {
      // Otherwise there is no relay for it, which its next request is told.
      if (isOutage(error)) {
        this.note(use);
      }
    }
  }
}
