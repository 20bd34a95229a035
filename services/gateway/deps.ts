import type { RelayChange } from '../domain/membership.js';
import type { RegisteredRelay } from '../domain/relay.js';
import type { Selector } from '../selection/selector.js';

/** Which relays are registered, and what becomes of them. */
export interface RelayList {
  list(set?: string): readonly RegisteredRelay[];
  get(set: string, id: string): RegisteredRelay | undefined;
  subscribe(listener: (change: RelayChange) => void): () => void;
}

/** Undefined where the proxy names no set. */
export type SetName = string | undefined;

/** Which relay carries a call: what the gateway needs of the selector. All throw HoldfastError. */
export type CallRouter = Pick<
  Selector,
  | 'select'
  | 'lookup'
  | 'located'
  | 'remembered'
  | 'answered'
  | 'move'
  | 'release'
  | 'place'
  | 'adopt'
  | 'withNotices'
  | 'takeNotices'
>;
