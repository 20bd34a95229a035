import { type Binding, type Freshness, type Origin, originOf } from '../domain/binding.js';
import type { Call } from '../domain/call.js';
import type { RegisteredRelay } from '../domain/relay.js';
import type { RelayConstraints } from '../placement/pool.js';

/** What the fronts ask the selector, and what it answers. */

export interface SelectRequest {
  readonly call: Call;
  readonly set: string;
  /** Names this request across retries. */
  readonly requestId: string;
  /** Undefined for the default: setup where this binds the call, call where it was bound before. */
  readonly ttlSeconds?: number | undefined;
  readonly constraints: RelayConstraints;
  /** Where the call was released, it is a call like any other again. Otherwise it stays released. */
  readonly reopen?: boolean;
}

export interface MoveRequest {
  readonly call: Call;
  /** The generation to replace. */
  readonly generation: number;
  readonly reason: string;
  readonly requestId: string;
  readonly constraints: RelayConstraints;
}

export interface Answer {
  readonly binding: Binding;
  /** Undefined if the relay's registration is gone (Lookup) or belongs to another life of it. */
  readonly relay: RegisteredRelay | undefined;
  readonly origin: Origin;
  readonly freshness: Freshness;
}

export function answerOf(
  binding: Binding,
  relay: RegisteredRelay | undefined,
  requestId: string,
  freshness: Freshness,
): Answer {
  return { binding, relay, origin: originOf(binding, requestId), freshness };
}
