import { errorReply } from '../control/ng/message.js';
import type { HandlerDeps } from './deps.js';
import type { CallRequest } from './ng/call-request.js';
import { type Reply, unknownCall } from './ng/reply.js';
import { askRelay } from './relay-link.js';

/**
 * `answer`, `query` and every other command that needs the call to be there: the bound relay or none. Another one would
 * know nothing of the call.
 */
export class InDialogHandler {
  readonly #deps: HandlerDeps;

  constructor(deps: HandlerDeps) {
    this.#deps = deps;
  }

  /** @throws HoldfastError `unavailable`, `overloaded` */
  async handle(request: CallRequest): Promise<Reply> {
    const { selector, clients, clock, callTtlSeconds, log } = this.#deps;
    const { call, command, body, deadlineMs } = request;
    // An answered call outlives one that is being set up.
    const answer =
      command === 'answer'
        ? await selector.lookup(call, { predicts: true, adopts: true, keepSeconds: callTtlSeconds })
        : await selector.lookup(call, { predicts: true, adopts: true });
    if (!answer) {
      return unknownCall;
    }
    const { relayId, generation } = answer.binding;
    if (!answer.relay) {
      return errorReply(`relay ${relayId} of this call is gone; offer again`);
    }
    const asked = await askRelay(clients, answer.relay, body, deadlineMs - clock.monotonicMs());
    if (asked.kind === 'replied') {
      return asked.reply;
    }
    log.warn(
      { callId: call.callId, relay: relayId, generation, command, reason: asked.reason },
      'relay did not answer',
    );
    return errorReply(`relay ${relayId} of this call did not answer: ${asked.reason}`);
  }
}
