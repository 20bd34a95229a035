import type { RegisteredRelay } from '../domain/relay.js';
import type { Candidate, Reservation } from './candidate.js';
import { FirstAvailable } from './first-available.js';
import { LeastLoaded } from './least-loaded.js';
import type { Policy } from './policy.js';
import { noRelayRegistered, Pool, type RelayConstraints } from './pool.js';
import { Rendezvous } from './rendezvous.js';
import { RoundRobin } from './round-robin.js';

export const policyNames = ['least-loaded', 'rendezvous', 'round-robin', 'first-available'] as const;
export type PolicyName = (typeof policyNames)[number];

const policies: Record<PolicyName, new () => Policy> = {
  'least-loaded': LeastLoaded,
  rendezvous: Rendezvous,
  'round-robin': RoundRobin,
  'first-available': FirstAvailable,
};

/** Tells which relays there are, as they come and go. */
export interface RelaySource {
  subscribe(
    listener: (change: {
      readonly type: 'joined' | 'changed' | 'suspect' | 'left';
      readonly relay: RegisteredRelay;
    }) => void,
  ): () => void;
}

/** Chooses relays for calls, from whatever it was last told is registered. */
export class Placement {
  readonly #pools = new Map<string, Pool>();

  constructor(private readonly policy: PolicyName) {}

  /** The relays that a directory tells of are placed on, from now on. This is the only tie between the two. */
  follow(directory: RelaySource): void {
    directory.subscribe(({ type, relay }) => {
      if (type === 'left') {
        this.remove(relay.relay.set, relay.relay.id);
      } else if (type === 'suspect') {
        this.#pools.get(relay.relay.set)?.suspect(relay.relay.id);
      } else {
        this.put(relay);
      }
    });
  }

  put(registered: RegisteredRelay): void {
    const { set } = registered.relay;
    let pool = this.#pools.get(set);
    if (!pool) {
      pool = new Pool(set, new policies[this.policy]());
      this.#pools.set(set, pool);
    }
    pool.put(registered);
  }

  remove(set: string, id: string): void {
    const pool = this.#pools.get(set);
    pool?.remove(id);
    if (pool?.size === 0) {
      this.#pools.delete(set);
    }
  }

  /**
   * @param nowMs by the monotonic clock that stamped `loadHeardAtMs`
   * @throws HoldfastError `relays-full`, `no-relay` or `relay-awaited`, naming the set.
   */
  choose(set: string, callKey: string, constraints: RelayConstraints, nowMs: number): Reservation {
    const pool = this.#pools.get(set);
    if (!pool) {
      throw noRelayRegistered(set);
    }
    return pool.choose(callKey, constraints, nowMs);
  }

  /**
   * Where replicas that know the same relays put the call without talking: capacity, load and zone have no say. Where there is no
   * other, a relay that is not registered any more, and not believed to be gone.
   * @throws HoldfastError `no-relay`, naming the set.
   */
  predict(set: string, callKey: string, constraints: RelayConstraints): Candidate {
    const pool = this.#pools.get(set);
    if (!pool) {
      throw noRelayRegistered(set);
    }
    return pool.predict(callKey, constraints);
  }

  /** This very relay for one more call, whether or not it takes new ones; undefined if it is gone. */
  take(set: string, id: string, instance: string): Reservation | undefined {
    return this.#pools.get(set)?.take(id, instance);
  }
}
