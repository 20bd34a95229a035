import type { RegisteredRelay } from '../domain/relay.js';
import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';
import type { Selector } from '../selection/selector.js';
import type { RelayClients } from './relay-clients.js';

/** Which relays are registered, and what becomes of them. */
export interface RelayList {
  list(set?: string): readonly RegisteredRelay[];
  subscribe(
    listener: (change: { readonly type: string; readonly relay: RegisteredRelay }) => void,
  ): () => void;
}

/** What the gateway's commands work with. */
export interface HandlerDeps {
  readonly selector: Pick<Selector, 'select' | 'lookup' | 'answered' | 'move' | 'release'>;
  readonly clients: RelayClients;
  /** Relay set of the calls that come this way. */
  readonly set: string;
  readonly callTtlSeconds: number;
  readonly clock: Clock;
  readonly log: Logger;
}
