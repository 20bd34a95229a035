import type { Bindings, Intents, Membership } from '../domain/membership.js';
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
  readonly intents: Intents;
  readonly store: Bindings;
  readonly clock: Clock;
  readonly observer: Observer;
}
