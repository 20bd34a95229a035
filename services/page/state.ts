import type { HoldfastError } from '../domain/error.js';
import type { EventFeed } from '../domain/recorded-event.js';
import type { AbsentIntent, GoneRelay, RegisteredRelay } from '../domain/relay.js';
import type { ReplicaEntry, TrafficRates } from '../domain/status.js';
import type { Clock } from '../runtime/clock.js';

/** All that the page and its API show of a replica, read and never changed. */
export interface ReplicaState {
  readonly clock: Clock;
  /** For people. */
  readonly name: () => string;
  /** Why it cannot answer requests yet, or undefined. */
  readonly notReady: () => string | undefined;
  /** Ordered by set, then id. */
  readonly relays: () => readonly RegisteredRelay[];
  /** Registered no more, which is not believed yet. */
  readonly isSuspect: (set: string, id: string) => boolean;
  /** Relays that left within the last day, the latest first. */
  readonly gone: () => readonly GoneRelay[];
  /** Intents for relays that are not registered. */
  readonly absent: () => readonly AbsentIntent[];
  /** Bindings that this replica remembers, by `relayKey`. */
  readonly bindings: () => ReadonlyMap<string, number>;
  readonly traffic: () => TrafficRates;
  readonly feed: EventFeed;
  readonly etcd: {
    readonly lost: () => HoldfastError | undefined;
    readonly lostForMs: () => number;
    /** True while changes in etcd are heard as they happen. */
    readonly isLive: () => boolean;
  };
  readonly withoutQuorum: 'available' | 'strict';
  readonly replicas: () => readonly ReplicaEntry[];
}
