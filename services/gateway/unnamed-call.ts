import type { ControlRequest } from '../control/protocol.js';
import { HoldfastError, messageOf } from '../domain/error.js';
import { defaultSet } from '../domain/name.js';
import type { RegisteredRelay } from '../domain/relay.js';
import { type Clock, inTime } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';
import { type RefusalCause, refusalCauseOf } from '../selection/front-metrics.js';
import type { RefusedCalls } from '../selection/refused-calls.js';
import { type CallScope, callOf } from './call-request.js';
import type { CallRouter } from './deps.js';
import { otherCall } from './joined-calls.js';
import { setupTimeoutMs } from './offer.js';
import type { RelayAccess } from './relay-clients.js';

export interface UnnamedCallDeps {
  readonly router: CallRouter;
  readonly clients: RelayAccess;
  readonly refused: RefusedCalls;
  readonly clock: Clock;
  readonly log: Logger;
}

/** A request without a call id: the relay makes one for what it begins, and the call is bound by the relay's reply. */
export class UnnamedCallHandler {
  readonly #deps: UnnamedCallDeps;

  constructor(deps: UnnamedCallDeps) {
    this.#deps = deps;
  }

  async handle(request: ControlRequest, scope: CallScope, deadlineMs: number): Promise<Buffer> {
    const { router, clients, refused, clock } = this.#deps;
    const remainingMs = () => deadlineMs - clock.monotonicMs();
    const failed: string[] = [];
    let last: Buffer | undefined;
    let refusal: { readonly cause: RefusalCause; readonly reason: string } = {
      cause: 'no-answer',
      reason: 'no relay answered in time',
    };
    const [beside] = request.joinedCallIds;
    const preferred = beside && (await otherCall(router, beside, scope))?.binding.relayId;
    while (remainingMs() > 0) {
      const relay = this.#place(request, scope, failed, preferred);
      if (relay instanceof HoldfastError) {
        // One that said so itself said it best.
        refusal = last ? refusal : { cause: refusalCauseOf(relay), reason: relay.message };
        break;
      }
      const asked = await clients.ask(relay, request, Math.min(setupTimeoutMs, remainingMs()));
      if (asked.kind === 'replied') {
        last = asked.reply;
        const verdict = request.judge(last);
        if (verdict.kind === 'accepted' && verdict.madeCallId) {
          await this.#bind(verdict.madeCallId, scope, relay, remainingMs());
        }
        if (verdict.kind !== 'full' && verdict.kind !== 'unsupported') {
          return last;
        }
        refusal = { cause: verdict.kind === 'full' ? 'relay-full' : 'relay-unable', reason: verdict.reason };
      }
      failed.push(relay.relay.id);
    }
    const { protocol, command } = request;
    refused.add(refusal.cause, { set: scope.set ?? defaultSet, protocol, command, reason: refusal.reason });
    return last ?? request.full(refusal.reason);
  }

  /** Or why there is none. */
  #place(
    request: ControlRequest,
    { set, zone, labels }: CallScope,
    failed: string[],
    preferred: string | undefined,
  ): RegisteredRelay | HoldfastError {
    const { router, clients } = this.#deps;
    const excluded = [...clients.unspoken(set, request.protocol), ...failed];
    try {
      return router.place(set ?? defaultSet, { zone, labels, preferred, needs: request.needs, excluded });
    } catch (error) {
      if (error instanceof HoldfastError) {
        return error;
      }
      throw error;
    }
  }

  /** The relay carries the call, whatever the registry says to it: the proxy is not kept waiting. */
  async #bind(callId: Buffer, scope: CallScope, relay: RegisteredRelay, timeoutMs: number): Promise<void> {
    const { router, clock, log } = this.#deps;
    const bound = (async () => {
      try {
        await router.adopt(callOf(callId, scope), relay);
      } catch (error) {
        const names = { callId: callId.toString('latin1'), relay: relay.relay.id };
        log.warn({ ...names, reason: messageOf(error) }, 'cannot bind a call that a relay has named');
      }
    })();
    await inTime(clock, timeoutMs, bound, undefined);
  }
}
