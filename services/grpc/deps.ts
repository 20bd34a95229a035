import type { Bindings, Intents, Membership } from '../domain/membership.js';
import type { EventFeed } from '../domain/recorded-event.js';
import type { GoneRelay } from '../domain/relay.js';
import type { ReplicaStatus } from '../domain/status.js';
import type { Clock } from '../runtime/clock.js';
import type { RefusedCalls } from '../selection/refused-calls.js';
import type { Selector } from '../selection/selector.js';
import type { AnswerBytes } from './answer-bytes.js';
import type { Observer } from './observe.js';

/** What the methods of `SelectionService` work with. */
export interface SelectionServiceDeps {
  readonly selector: Selector;
  readonly bytes: AnswerBytes;
  readonly observer: Observer;
  readonly refused: RefusedCalls;
}

/** What the methods of `RelayService` work with. */
export interface RelayServiceDeps {
  readonly directory: Membership;
  /** Relays that left within the last day, the latest first. */
  readonly gone: (set?: string) => readonly GoneRelay[];
  readonly feed: EventFeed;
  readonly status: () => ReplicaStatus;
  readonly intents: Intents;
  readonly store: Bindings;
  readonly clock: Clock;
  readonly observer: Observer;
}
