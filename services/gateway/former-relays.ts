import type { ControlRequest } from '../control/protocol.js';
import type { Binding } from '../domain/binding.js';
import type { RegisteredRelay, Relay } from '../domain/relay.js';
import type { Answer } from '../selection/requests.js';
import type { CallRouter, RelayList } from './deps.js';
import type { RelayAccess } from './relay-clients.js';
import type { RetryQueue } from './retry-queue.js';

/** In the moves of a binding: the gateway did it, during setup. It ends at once what the relay may have begun. */
export const mover = 'gateway';
/** For what a relay has to answer after the proxy was answered, ms. */
const timeoutMs = 400;
/** Attempts for a relay that is not registered, by then for about half a minute. */
const mostAbsences = 10;

export interface FormerRelaysDeps {
  readonly router: CallRouter;
  readonly clients: RelayAccess;
  readonly retries: RetryQueue;
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
    const { router, clients, retries, directory } = this.#deps;
    let hadNothing = false;
    let absences = 0;
    retries.schedule({
      purpose: `delete call ${call.callId} on relay ${relay.id}, which it has left`,
      attempt: async () => {
        const now = await router.lookup(call);
        if (now && (isOn(relay, now) || now.binding.beginning !== beginning)) {
          return 'canceled';
        }
        // While etcd is out of reach another replica may have moved it back.
        if (now && now.freshness !== 'fresh') {
          return 'again';
        }
        const registered = directory.get(relay.set, relay.id);
        if (registered?.relay.instance !== relay.instance) {
          // One that is silent is not registered for as long, and has its sessions still when it is back.
          return !registered && ++absences < mostAbsences ? 'again' : 'done';
        }
        const asked = await clients.ask(registered, deletion, timeoutMs);
        if (asked.kind !== 'replied') {
          return 'again';
        }
        // A relay that was frozen works off at once what has waited for it: it may answer this before it begins the call.
        if (deletion.judge(asked.reply).kind === 'accepted' || hadNothing) {
          return 'done';
        }
        hadNothing = true;
        return 'again';
      },
    });
  }
}

/** One media process may be registered under several names. */
function isOn({ instance, controlUrl }: Relay, { binding, relay }: Answer): boolean {
  return binding.instance === instance || relay?.relay.controlUrl === controlUrl;
}
