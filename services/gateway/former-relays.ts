import type { ControlRequest } from '../control/protocol.js';
import type { Binding } from '../domain/binding.js';
import type { RegisteredRelay, Relay } from '../domain/relay.js';
import type { Answer } from '../selection/requests.js';
import type { RelayList } from './deps.js';
import type { OrphanedSessions } from './orphaned-sessions.js';

/** In the moves of a binding: the gateway did it, during setup. It ends at once what the relay may have begun. */
export const mover = 'gateway';

export interface FormerRelaysDeps {
  readonly orphans: OrphanedSessions;
  readonly directory: RelayList;
}

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
  of({ call: { set }, relayId, moves }: Binding): RegisteredRelay[] {
    const ids = new Set(moves.filter(({ by }) => by !== mover).map(({ from }) => from));
    ids.delete(relayId);
    return [...ids].flatMap((id) => this.#deps.directory.get(set, id) ?? []);
  }

  /** Ends the call on all of them. */
  end(binding: Binding, deletion: ControlRequest): void {
    for (const relay of this.of(binding)) {
      this.endOn(relay, binding, deletion);
    }
  }

  /** Ends what a relay has of a call that is elsewhere now: nothing, if the call has come back to it or has begun anew. */
  endOn({ relay }: RegisteredRelay, { call, beginning }: Binding, deletion: ControlRequest): void {
    const { id: relayId, instance } = relay;
    const isOrphaned = (now: Answer) => now.binding.beginning === beginning && !isOn(relay, now);
    this.#deps.orphans.end({ call, relayId, instance, isOrphaned }, deletion);
  }
}

/** One media process may be registered under several names. */
function isOn({ instance, controlUrl }: Relay, { binding, relay }: Answer): boolean {
  return binding.instance === instance || relay?.relay.controlUrl === controlUrl;
}
