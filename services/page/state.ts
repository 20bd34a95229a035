import type { HoldfastError } from '../domain/error.js';
import type { EventFeed } from '../domain/recorded-event.js';
import type { AbsentIntent, GoneRelay, RegisteredRelay } from '../domain/relay.js';
import type { ReplicaEntry, ReplicaStatus, TrafficRates } from '../domain/status.js';
import type { Clock } from '../runtime/clock.js';

/** All that the page and its API show, read and never changed. */
export interface ShownState {
  readonly clock: Clock;
  /** Why requests cannot be answered yet, or undefined. */
  readonly notReady: () => string | undefined;
  readonly status: () => ReplicaStatus;
  /** Ordered by set, then id. */
  readonly relays: () => readonly RegisteredRelay[];
  /** Registered no more, which is not believed yet. */
  readonly isSuspect: (set: string, id: string) => boolean;
  /** Relays that left within the last day, the latest first. */
  readonly gone: () => readonly GoneRelay[];
  /** Intents for relays that are not registered. */
  readonly absent: () => readonly AbsentIntent[];
  /** Bindings that are remembered, by `relayKey`. */
  readonly bindings: () => ReadonlyMap<string, number>;
  readonly traffic: () => TrafficRates;
  readonly feed: EventFeed;
  /** True while changes in etcd are heard as they happen. */
  readonly isLive: () => boolean;
}

/** What the status of a replica is made from. */
export interface ReplicaState extends Omit<ShownState, 'status' | 'isLive'> {
  /** For people. */
  readonly name: () => string;
  readonly etcd: {
    readonly lost: () => HoldfastError | undefined;
    readonly lostForMs: () => number;
    /** True while changes in etcd are heard as they happen. */
    readonly isLive: () => boolean;
  };
  readonly withoutQuorum: 'available' | 'strict';
  readonly replicas: () => readonly ReplicaEntry[];
  /** Those that the replica presents, or verifies others by. */
  readonly certificates: () => readonly {
    readonly purpose: string;
    /** Ms since 1970. */
    readonly validUntilMs: number | undefined;
  }[];
}

/** A replica as its own page shows it. */
export function shown(state: ReplicaState, status: () => ReplicaStatus): ShownState {
  return { ...state, status, isLive: state.etcd.isLive };
}
