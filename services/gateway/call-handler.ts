import type { ControlRequest } from '../control/protocol.js';
import { HoldfastError } from '../domain/error.js';
import { type Clock, inTime } from '../runtime/clock.js';
import type { RefusalCause } from '../selection/front-metrics.js';
import type { RefusedCalls } from '../selection/refused-calls.js';
import type { CallMemory } from './call-memory.js';
import { type CallRequest, type CallScope, callOf, graceMs } from './call-request.js';
import type { DeleteHandler } from './delete.js';
import type { InDialogHandler } from './in-dialog.js';
import type { OfferHandler } from './offer.js';
import type { Readiness } from './readiness.js';
import type { UnnamedCallHandler } from './unnamed-call.js';

/** A relay is waited for until then, so that there is time to say that it did not answer, ms. */
export const relayBudgetMs = 850;
/**
 * Kamailio asks again after 1 s, and blocks a worker meanwhile; after 5 s it takes the whole gateway for dead. Every
 * answer has left by then, ms.
 */
const budgetMs = relayBudgetMs + graceMs;

export interface CallHandlerDeps {
  readonly offers: OfferHandler;
  readonly inDialog: InDialogHandler;
  readonly deletes: DeleteHandler;
  readonly unnamed: UnnamedCallHandler;
  readonly readiness: Readiness;
  readonly memory: CallMemory;
  readonly refused: RefusedCalls;
  readonly clock: Clock;
}

/** Requests about calls, whatever protocol they come in. Each is answered within 0.9 s. */
export class CallHandler {
  readonly #deps: CallHandlerDeps;

  constructor(deps: CallHandlerDeps) {
    this.#deps = deps;
  }

  async handle(request: ControlRequest, scope: CallScope): Promise<Buffer> {
    const { clock } = this.#deps;
    const deadlineMs = clock.monotonicMs() + relayBudgetMs;
    try {
      const served = this.#serve(request, scope, deadlineMs);
      return (
        (await inTime(clock, budgetMs, served, undefined)) ??
        this.#unserved(request, 'no-answer', 'no answer in time')
      );
    } catch (error) {
      if (error instanceof HoldfastError) {
        if (request.act === 'begin') {
          this.#deps.refused.addThrown(error, { protocol: request.protocol, command: request.command });
        }
        return request.error(error.message);
      }
      throw error;
    }
  }

  async #serve(request: ControlRequest, scope: CallScope, deadlineMs: number): Promise<Buffer> {
    const { offers, inDialog, deletes, unnamed, readiness, memory } = this.#deps;
    const { act, callId, parties } = request;
    const named: CallRequest | undefined = callId &&
      parties && { request, call: callOf(callId, scope), parties, scope, deadlineMs };
    if (named) {
      memory.heard(named.call, named.parties);
    }
    // A proxy hears ok to a delete in any case: what cannot be done now is put off.
    if (named && act === 'delete') {
      return deletes.handle(named);
    }
    const reason = await readiness.wait(deadlineMs);
    if (reason !== undefined) {
      return this.#unserved(request, 'not-ready', reason);
    }
    if (!named) {
      return unnamed.handle(request, scope, deadlineMs);
    }
    if (act === 'begin') {
      return offers.handle(named);
    }
    // Whether an unknown command begins a call, the relay knows. Of a call that exists, it is one more command.
    const reply = await inDialog.handle(named);
    if (reply) {
      return reply;
    }
    return act === 'unknown' || act === 'extend' ? offers.handle(named) : request.unknownCall();
  }

  /** A new call may be served by another gateway. */
  #unserved(request: ControlRequest, cause: RefusalCause, reason: string): Buffer {
    const { act, protocol, command, callId, parties } = request;
    if (act !== 'begin') {
      return request.error(reason);
    }
    this.#deps.refused.add(cause, { callId: callId?.toString('latin1'), protocol, command, reason });
    return parties?.toTag === undefined ? request.full(reason) : request.error(reason);
  }
}
