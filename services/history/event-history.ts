import type { EventDetails, HoldfastEvent } from '../domain/events.js';
import type { EventFeed } from '../domain/recorded-event.js';
import type { Clock } from '../runtime/clock.js';
import { CallCounts } from './call-counts.js';
import { EventRing, type NewRecord } from './event-ring.js';
import {
  type CallEvent,
  callRecord,
  certificateRecord,
  isCallEvent,
  keyOf,
  relayRecord,
  stateRecord,
} from './records.js';

/** Keeps what happens at a replica: one record for each event of relays and etcd, and one for many calls with one cause. */
export class EventHistory {
  readonly #ring: EventRing;
  readonly #counts: CallCounts<CallEvent>;
  /** Instances of relays that left, by set and id: one that comes back with another one was restarted. */
  readonly #instanceOfGone: (set: string, id: string) => string | undefined;

  /** @param instanceOfGone the instance that a relay had which is gone, where that is known */
  constructor(clock: Clock, instanceOfGone: (set: string, id: string) => string | undefined) {
    this.#ring = new EventRing(clock);
    this.#counts = new CallCounts(clock, (event, calls) => this.#ring.add(callRecord(event, calls)));
    this.#instanceOfGone = instanceOfGone;
  }

  get feed(): EventFeed {
    return this.#ring;
  }

  /** The first record: what the replica found. What it learns of relays before that is no news. */
  begin(relays: number): void {
    const found = `${relays} ${relays === 1 ? 'relay is' : 'relays are'} registered`;
    this.#ring.add({ type: 'replica-started', severity: 'info', text: `this replica is ready; ${found}` });
  }

  hear(event: HoldfastEvent): void {
    if (isCallEvent(event)) {
      this.#counts.add(keyOf(event), event);
      return;
    }
    const record = this.#recordOf(event);
    if (record) {
      this.#ring.add(record);
    }
  }

  /** Undefined where the event is kept nowhere. */
  #recordOf(event: Exclude<HoldfastEvent, CallEvent>): NewRecord | undefined {
    switch (event.type) {
      case 'relayJoined':
        return this.#joined(event.details);
      case 'relayRestarted':
      case 'relayWeightChanged':
      case 'relayFull':
      case 'relayHasRoom':
      case 'relaySuspect':
      case 'relayBack':
      case 'relayLeft':
        return relayRecord(event);
      case 'relayStateChanged':
      case 'etcdLost':
      case 'etcdBack':
      case 'historyChanged':
      case 'settingsDiffer':
        return stateRecord(event);
      case 'bindingsReasserted':
        // After most outages there was nothing to do.
        return Object.values(event.details).some((calls) => calls > 0) ? stateRecord(event) : undefined;
      case 'certificatesChanged':
      case 'certificatesInvalid':
      case 'certificateExpires':
        return certificateRecord(event);
      // Each call is in the metrics, and at debug in the log; a summary follows those of an outage.
      case 'callBound':
      case 'callAnswered':
      case 'callReleased':
      case 'callReasserted':
      case 'promiseKept':
      case 'promisesReconciled':
        return undefined;
    }
  }

  #joined(details: EventDetails['relayJoined']): NewRecord {
    const before = this.#instanceOfGone(details.set, details.relay);
    return before === undefined || before === details.instance
      ? relayRecord({ type: 'relayJoined', details }, before !== undefined)
      : relayRecord({ type: 'relayRestarted', details: { ...details, before } });
  }
}
