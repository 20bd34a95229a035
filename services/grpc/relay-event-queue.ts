import {
  WatchRelaysResponse_Type as Type,
  type WatchRelaysResponse,
} from '../../proto/generated/holdfast/v1/relay.js';
import type { RelayChange } from '../domain/membership.js';
import { type RegisteredRelay, relayKey } from '../domain/relay.js';
import { relayMessage } from './replies.js';

/**
 * The events that one subscriber has not received yet, in order, at most one per relay:
 *
 *     r1 SNAPSHOT │ r2 SNAPSHOT │ … │ SYNCED │ r7 JOINED │ r2 CHANGED │ r4 LEFT
 *     └ shift                                                     push ┘
 *
 * A change of a relay whose event still waits is merged into that event. So a subscriber that reads slowly, or not at all,
 * costs one entry per relay and still receives the last state of each.
 */
export class RelayEventQueue {
  /** By `relayKey`, in order of insertion; SYNCED has the empty key, which no relay has. */
  readonly #waiting = new Map<string, { readonly type: Type; readonly relay?: RegisteredRelay }>();

  constructor(snapshot: readonly RegisteredRelay[]) {
    for (const relay of snapshot) {
      this.#waiting.set(keyOf(relay), { type: Type.SNAPSHOT, relay });
    }
    this.#waiting.set('', { type: Type.SYNCED });
  }

  get length(): number {
    return this.#waiting.size;
  }

  push({ type, relay }: RelayChange): void {
    // Not an event yet: if the loss is confirmed, "left" follows.
    if (type === 'suspect') {
      return;
    }
    const key = keyOf(relay);
    const merged = merge(this.#waiting.get(key)?.type, type);
    if (merged === undefined) {
      this.#waiting.delete(key);
    } else {
      this.#waiting.set(key, { type: merged, relay });
    }
  }

  shift(): WatchRelaysResponse | undefined {
    for (const [key, { type, relay }] of this.#waiting) {
      this.#waiting.delete(key);
      return { type, relay: relay && relayMessage(relay) };
    }
    return undefined;
  }
}

const keyOf = ({ relay: { set, id } }: RegisteredRelay) => relayKey(set, id);

/** The event for a subscriber that has not received the waiting one; undefined if it needs none. */
function merge(waiting: Type | undefined, change: 'joined' | 'changed' | 'left'): Type | undefined {
  switch (waiting) {
    // It does not know the relay yet.
    case Type.SNAPSHOT:
    case Type.JOINED:
      return change === 'left' ? undefined : waiting;
    // It knows the relay.
    case Type.CHANGED:
    case Type.LEFT:
      return change === 'left' ? Type.LEFT : Type.CHANGED;
    default:
      return { joined: Type.JOINED, changed: Type.CHANGED, left: Type.LEFT }[change];
  }
}
