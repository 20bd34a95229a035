import type { Call } from '../../domain/call.js';
import type { Events } from '../../domain/events.js';
import { type Clock, sleep } from '../../runtime/clock.js';
import type { Binder } from '../binder.js';
import type { CachedBindingStore } from '../cached-store.js';
import { isOutage } from '../write-result.js';
import type { ProvisionalBindings } from './provisional-bindings.js';

/** Reconciled at once; their writes share commits. */
const maxUnderWay = 64;
const pauseMs = 100;

export interface ProvisionalReconcilerDeps {
  readonly provisional: ProvisionalBindings;
  readonly binder: Pick<Binder, 'bind'>;
  readonly cachedStore: Pick<CachedBindingStore, 'lost'>;
  /** Aborts when this replica stops. */
  readonly stopping: AbortSignal;
  readonly events: Events;
  readonly clock: Clock;
}

/**
 * Makes bindings of what was promised without quorum. An existing binding wins, unless the call is only being set up there, and
 * was answered on the relay that carries it.
 */
export class ProvisionalReconciler {
  readonly #deps: ProvisionalReconcilerDeps;
  #reconciling: Promise<void> | undefined;

  constructor(deps: ProvisionalReconcilerDeps) {
    this.#deps = deps;
  }

  /** Binds whatever was promised; resolves when that is done, or etcd is lost again. */
  reconcileAll(): Promise<void> {
    this.#reconciling ??= this.#reconcileAll().finally(() => {
      this.#reconciling = undefined;
    });
    return this.#reconciling;
  }

  /** Binds what was promised to this call, if anything was. @throws HoldfastError as Select */
  async reconcile(call: Call): Promise<void> {
    const promised = this.#deps.provisional.get(call);
    if (!promised) {
      return;
    }
    const { requestId, ttlSeconds, state, notices } = promised;
    const inDialog = state === 'answered';
    const known = { call: promised.call, requestId, ttlSeconds, notices };
    await this.#deps.binder.bind({ ...known, constraints: {}, inDialog });
  }

  async #reconcileAll(): Promise<void> {
    const { provisional, cachedStore, clock, events, stopping } = this.#deps;
    if (provisional.size === 0) {
      return;
    }
    const calls = provisional.list().map(({ call }) => call);
    const before = { ...provisional.counters };
    const isOver = () => cachedStore.lost !== undefined || stopping.aborted;
    const work = async () => {
      for (let call = calls.pop(); call && !isOver(); call = calls.pop()) {
        try {
          await this.reconcile(call);
        } catch (error) {
          if (isOutage(error)) {
            // A relay whose lease ran out while etcd was away is about to be back; one slow commit is no outage.
            calls.unshift(call);
            await sleep(clock, pauseMs);
            continue;
          }
          provisional.delete(call);
          events.promiseDropped(call.callId, error);
        }
      }
    };
    await Promise.all(Array.from({ length: maxUnderWay }, work));
    const { kept, conflicts, relaysGone } = provisional.counters;
    events.promisesReconciled({
      kept: kept - before.kept,
      broken: conflicts - before.conflicts + relaysGone - before.relaysGone,
      left: provisional.size,
    });
  }
}
