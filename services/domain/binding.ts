import type { Call } from './call.js';

export const minTtlSeconds = 10;
export const maxTtlSeconds = 86_400;

/** One call on one relay. */
export interface Binding {
  readonly call: Call;
  readonly set: string;
  readonly relayId: string;
  /** The life of the relay's media process that holds the call; another one does not know it. */
  readonly instance: string;
  /** 1 for the first relay of the call, +1 with each move: a fencing token. */
  readonly generation: number;
  /** The request that wrote this generation: by it a retry knows its own write. */
  readonly requestId: string;
  /** When the call was first bound, ms since 1970. */
  readonly createdAtMs: number;
  /** The binding outlives each use by at least this. */
  readonly ttlSeconds: number;
  /** The binding lives at least until then, ms since 1970. */
  readonly expiresAtMs: number;
  /** True once the call was released: it lingers, and use does not prolong it. */
  readonly released: boolean;
}

/**
 * A lease outlives the TTL by half, and is renewed by the first use that finds less than a TTL left: so a binding
 * lives a whole TTL after its last use, yet most uses write nothing.
 */
export function leaseSeconds(ttlSeconds: number): number {
  return ttlSeconds * 1.5;
}

/** How much longer the binding surely lives, s. */
export function remainingSeconds(binding: Binding, wallMs: number): number {
  return (binding.expiresAtMs - wallMs) / 1000;
}

/** A binding as etcd holds it. */
export interface StoredBinding {
  readonly binding: Binding;
  /** etcd's mod revision of the binding: what a transaction checks to know that it still stands. */
  readonly revision: number;
}

export type Origin = 'new' | 'existing' | 'moved';
export type Freshness = 'fresh' | 'stale' | 'provisional';

/**
 * How a binding came to be what it is, seen by the request that asks. Derived from the binding alone,
 * so that all replicas answer alike and a retry hears what the first try would have.
 */
export function originOf(binding: Binding, requestId: string): Origin {
  if (binding.generation > 1) {
    return 'moved';
  }
  return binding.requestId === requestId ? 'new' : 'existing';
}
