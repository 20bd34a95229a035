import type { ControlRequest } from '../control/protocol.js';
import type { Binding } from '../domain/binding.js';
import type { RegisteredRelay, Relay } from '../domain/relay.js';
import type { Answer } from '../selection/requests.js';
import type { RelayList } from './deps.js';
import type { OrphanedSession, OrphanedSessions } from './orphaned-sessions.js';

/** In the moves of a binding: the gateway did it, during setup. It ends at once what the relay may have begun. */
export const mover = 'gateway';

export interface FormerRelaysDeps {
  readonly orphans: OrphanedSessions;
  readonly directory: RelayList;
}

/** What a call was bound to; undefined where of the relay only its name is known. */
type FormerBinding = Pick<Binding, 'call' | 'beginning' | 'relayId'> & Pick<OrphanedSession, 'instance'>;

/**
 * Relays that a call was moved away from while it was in progress. Media flow through the former one until a re-INVITE was
 * offered and answered through the new one; from then on its session only holds ports.
 */
export class FormerRelays {
  readonly #deps: FormerRelaysDeps;

  constructor(deps: FormerRelaysDeps) {
    this.#deps = deps;
  }

  /** Those that are registered. */
  of(binding: Binding): RegisteredRelay[] {
    return formerIds(binding).flatMap((id) => this.#deps.directory.get(binding.call.set, id) ?? []);
  }

  /**
   * Ends the call on all of them, also on one that is away: a call moves because its relay is.
   * @param deletion made where there is one: few calls have moved
   */
  end(binding: Binding, deletion: () => ControlRequest): void {
    for (const relayId of formerIds(binding)) {
      const instance = this.#deps.directory.get(binding.call.set, relayId)?.relay.instance;
      this.endOn({ ...binding, relayId, instance }, deletion());
    }
  }

  /** Ends what a relay has of a call that is elsewhere now: nothing, if the call has come back to it or has begun anew. */
  endOn({ call, beginning, relayId, instance }: FormerBinding, deletion: ControlRequest): void {
    const isOrphaned = (now: Answer, { relay }: RegisteredRelay) =>
      now.binding.beginning === beginning && !isOn(relay, now);
    this.#deps.orphans.end({ call, relayId, instance, isOrphaned }, deletion);
  }
}

/** Of relays that the call may still be on. */
function formerIds({ relayId, moves }: Binding): string[] {
  const ids = new Set(moves.filter(({ by }) => by !== mover).map(({ from }) => from));
  ids.delete(relayId);
  return [...ids];
}

/** One media process may be registered under several names. */
function isOn({ instance, controlUrl }: Relay, { binding, relay }: Answer): boolean {
  return binding.instance === instance || relay?.relay.controlUrl === controlUrl;
}
