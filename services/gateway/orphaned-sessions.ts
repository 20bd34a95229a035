import type { ControlRequest } from '../control/protocol.js';
import type { Binding } from '../domain/binding.js';
import type { RegisteredRelay } from '../domain/relay.js';
import type { Answer } from '../selection/requests.js';
import type { CallRouter, RelayList } from './deps.js';
import type { RelayAccess } from './relay-clients.js';
import type { RetryQueue } from './retry-queue.js';

/** For what a relay has to answer after the proxy was answered, ms. */
const timeoutMs = 400;
/** Attempts for a relay that is not registered, by then for about half a minute. */
const mostAbsences = 10;

/** What a relay has of a call that has ended, or has left it. */
export interface OrphanedSession extends Pick<Binding, 'call' | 'relayId'> {
  /** Of the relay; undefined if it is not known: then it is the one that is registered first. */
  readonly instance: string | undefined;
  /** False where the call is bound like this now: it has begun anew, or is back on the relay. */
  isOrphaned(now: Answer, relay: RegisteredRelay): boolean | Promise<boolean>;
  /** The relay has answered the deletion. */
  ended?(relay: RegisteredRelay): void;
}

export interface OrphanedSessionsDeps {
  readonly router: Pick<CallRouter, 'lookup'>;
  readonly clients: Pick<RelayAccess, 'ask'>;
  readonly retries: RetryQueue;
  readonly directory: Pick<RelayList, 'get'>;
}

/** Ends what relays have of calls that are not there any more, also on a relay that is silent or away for a while. */
export class OrphanedSessions {
  readonly #deps: OrphanedSessionsDeps;

  constructor(deps: OrphanedSessionsDeps) {
    this.#deps = deps;
  }

  end(session: OrphanedSession, deletion: ControlRequest): void {
    const { router, clients, retries, directory } = this.#deps;
    const { call, relayId } = session;
    let { instance } = session;
    let hadNothing = false;
    let absences = 0;
    retries.schedule({
      purpose: `delete call ${call.callId} on relay ${relayId}`,
      request: deletion,
      attempt: async () => {
        const registered = directory.get(call.set, relayId);
        // One that is silent is not registered for as long, and has its sessions still when it is back.
        if (!registered) {
          return ++absences < mostAbsences ? 'again' : 'done';
        }
        instance ??= registered.relay.instance;
        if (registered.relay.instance !== instance) {
          return 'done';
        }
        const now = await router.lookup(call, { current: true });
        if (now && !(await session.isOrphaned(now, registered))) {
          return 'canceled';
        }
        // While etcd is out of reach another replica may have moved the call back, or have begun it anew.
        if (now && now.freshness !== 'fresh') {
          return 'again';
        }
        const asked = await clients.ask(registered, deletion, timeoutMs);
        if (asked.kind !== 'replied') {
          return 'again';
        }
        // A relay that was frozen works off at once what has waited for it: it may answer this before it begins the call.
        if (deletion.judge(asked.reply).kind === 'accepted' || hadNothing) {
          session.ended?.(registered);
          return 'done';
        }
        hadNothing = true;
        return 'again';
      },
    });
  }
}
