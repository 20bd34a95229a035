import { type Binding, type Freshness, type Origin, originOf } from '../domain/binding.js';
import type { Call } from '../domain/call.js';
import type { RegisteredRelay } from '../domain/relay.js';
import type { RelayConstraints } from '../placement/pool.js';

/** What the fronts ask the selector, and what it answers. */

export interface SelectRequest {
  readonly call: Call;
  /** Names this request across retries. */
  readonly requestId: string;
  /** Undefined for the default: setup where this binds the call, call where it was bound before. */
  readonly ttlSeconds?: number | undefined;
  readonly constraints: RelayConstraints;
  /** The call is in progress: it counts as answered, and does not begin again where it was released. */
  readonly inDialog?: boolean;
  /** Another call that this one is to meet on one relay, where this one is still to be placed. */
  readonly withCall?: Call | undefined;
  /** The call may have been begun before: if it is unknown here, relays are asked for it before it is placed. */
  readonly maybeCarried?: boolean;
  /** What is to be told should the relay be lost: beside what the binding has of it. */
  readonly notices?: readonly string[];
}

/**
 * Another replica may have released the call, of which caches do not hear: then it begins again with this request, and etcd has
 * to know. What is in the dialog, or a retry of what began the call, does not begin it again.
 */
export function mayBeginAgain({ state, requestId }: Binding, request: SelectRequest): boolean {
  const isInDialog = request.inDialog === true || (request.maybeCarried === true && state === 'answered');
  return !isInDialog && request.requestId !== requestId;
}

/** Where the call is unknown, relays are asked for it before it is placed. */
export function isSought({ inDialog, maybeCarried }: SelectRequest): boolean {
  return inDialog === true || maybeCarried === true;
}

export interface MoveRequest {
  readonly call: Call;
  /** The generation to replace. */
  readonly generation: number;
  readonly reason: string;
  /** Who wants it. */
  readonly by: string;
  readonly requestId: string;
  readonly constraints: RelayConstraints;
  /** Only while the call is being set up. */
  readonly inSetupOnly?: boolean;
  /** By the monotonic clock: it is not written later than this. */
  readonly deadlineMs?: number;
}

export interface Answer {
  readonly binding: Binding;
  /** Undefined if the relay's registration is gone (Lookup) or belongs to another instance of it. */
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
