import type { Binding } from './binding.js';
import type { AbsentIntent, Intent, RegisteredRelay } from './relay.js';

export type RelayChange =
  | { readonly type: 'joined'; readonly relay: RegisteredRelay }
  | { readonly type: 'changed'; readonly relay: RegisteredRelay; readonly before: RegisteredRelay }
  /** Not registered at the moment, which may be an error of this view: it takes no new calls and keeps those that it has. */
  | { readonly type: 'suspect'; readonly relay: RegisteredRelay }
  /** With the last known state. */
  | { readonly type: 'left'; readonly relay: RegisteredRelay };

/** The registered relays, as fronts see them. */
export interface Membership {
  /** True while joins and leaves arrive as they happen. */
  readonly live: boolean;
  get(set: string, id: string): RegisteredRelay | undefined;
  /** Ordered by set, then id; of all sets if none is given. */
  list(set?: string): RegisteredRelay[];
  /** Intents for relays that are not registered, ordered by set, then id; of all sets if none is given. */
  absent(set?: string): AbsentIntent[];
  /** The listener receives every change from now on, in etcd's order; the returned function unsubscribes it. */
  subscribe(listener: (change: RelayChange) => void): () => void;
}

/** What operators want of relays. */
export interface Intents {
  /**
   * @param change what becomes of the intent, undefined for none; called again if somebody else changed it meanwhile
   * @returns what it is now
   * @throws HoldfastError `unavailable`, and what `change` throws
   */
  update(
    set: string,
    id: string,
    change: (before: Intent | undefined) => Intent | undefined,
  ): Promise<Intent | undefined>;
}

/** All bindings, for listings. */
export interface Bindings {
  /** In the order of etcd's keys, read in pages at one revision. @throws HoldfastError `unavailable` */
  list(): AsyncIterable<{ readonly binding: Binding }>;
}
