import type { StoredBinding } from '../../domain/binding.js';
import type { Call } from '../../domain/call.js';
import { messageOf } from '../../domain/error.js';
import { type Clock, sleep } from '../../runtime/clock.js';
import type { Logger } from '../../runtime/log.js';
import type { SelectRequest } from '../requests.js';
import { isOutage, RelayAwaitedError } from '../write-result.js';
import type { ProvisionalBindings } from './provisional-bindings.js';

/** ProvisionalReconciler under way at once; their writes share commits. */
const maxUnderWay = 64;
const awaitedPeriodMs = 100;

export interface ProvisionalReconcilerDeps {
  readonly provisional: ProvisionalBindings;
  /** Binds the call where it was promised, or finds where it is bound; then tells `settled`. */
  readonly settle: (request: SelectRequest) => Promise<StoredBinding>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Makes bindings of what was promised without quorum. A binding that there is already wins. */
export class ProvisionalReconciler {
  readonly #deps: ProvisionalReconcilerDeps;
  #claiming: Promise<void> | undefined;
  /** Since the start, for metrics. */
  readonly counters = { claimed: 0, conflicts: 0, relaysGone: 0 };

  constructor(deps: ProvisionalReconcilerDeps) {
    this.#deps = deps;
  }

  /** ProvisionalReconciler whatever was promised; resolves when that is done, or etcd is lost again. */
  reconcileAll(): Promise<void> {
    this.#claiming ??= this.#reconcileAll().finally(() => {
      this.#claiming = undefined;
    });
    return this.#claiming;
  }

  /** ProvisionalReconciler what was promised to this call, if anything was. @throws HoldfastError as Select */
  async claim(call: Call): Promise<void> {
    const promised = this.#deps.provisional.get(call);
    if (!promised) {
      return;
    }
    const { set, requestId, ttlSeconds } = promised;
    await this.#deps.settle({ call, set, requestId, ttlSeconds, constraints: {} });
  }

  /** The call is bound: a promise is kept by that, or broken. */
  settled({ binding }: StoredBinding): void {
    const { provisional, log } = this.#deps;
    const promised = provisional.get(binding.call);
    if (!promised) {
      return;
    }
    provisional.delete(binding.call);
    if (promised.set === binding.set && promised.instance === binding.instance) {
      this.counters.claimed++;
      return;
    }
    const relays = { promised: promised.relayId, bound: binding.relayId };
    const { callId } = binding.call;
    if (promised.requestId === binding.requestId) {
      this.counters.relaysGone++;
      log.warn({ callId, ...relays }, 'the relay promised to a call is gone; it has another');
    } else {
      this.counters.conflicts++;
      log.warn({ callId, ...relays }, 'a call was promised one relay and is bound to another, which wins');
    }
  }

  async #reconcileAll(): Promise<void> {
    const { provisional, clock, log } = this.#deps;
    if (provisional.size === 0) {
      return;
    }
    const calls = provisional.list().map(({ call }) => call);
    const before = { ...this.counters };
    let isLost = false;
    const work = async () => {
      for (let call = calls.pop(); call && !isLost; call = calls.pop()) {
        try {
          await this.claim(call);
        } catch (error) {
          if (error instanceof RelayAwaitedError) {
            // Relays whose leases ran out while etcd was away are about to be back.
            calls.unshift(call);
            await sleep(clock, awaitedPeriodMs);
            continue;
          }
          isLost = isOutage(error);
          if (isLost) {
            return;
          }
          provisional.delete(call);
          log.warn({ callId: call.callId, reason: messageOf(error) }, 'a promised call cannot be bound');
        }
      }
    };
    await Promise.all(Array.from({ length: maxUnderWay }, work));
    log.info(
      {
        claimed: this.counters.claimed - before.claimed,
        conflicts: this.counters.conflicts - before.conflicts,
        relaysGone: this.counters.relaysGone - before.relaysGone,
        left: provisional.size,
      },
      'provisional bindings claimed',
    );
  }
}
