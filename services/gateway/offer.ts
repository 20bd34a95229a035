import { errorReply } from '../control/ng/message.js';
import { HoldfastError } from '../domain/error.js';
import type { RegisteredRelay } from '../domain/relay.js';
import { sleep } from '../runtime/clock.js';
import { newRequestId } from '../selection/request-id.js';
import type { Answer } from '../selection/requests.js';
import type { DeleteHandler } from './delete.js';
import type { HandlerDeps } from './deps.js';
import type { CallRequest } from './ng/call-request.js';
import { isFull, type Reply } from './ng/reply.js';
import { type Asked, askRelay } from './relay-link.js';

/** A relay that has not answered the offer of a new call by then loses it to the next. */
const newCallTimeoutMs = 250;
/** While a relay refuses a call that it carries, its registration is about to go: look again this often. */
const lookAgainMs = 50;

/**
 * `offer`: binds the call where it is new, and finds its relay where it is not. A call that is being set up goes to the
 * next relay when one is full, dead or silent; one that is answered stays, unless its relay's instance is gone.
 */
export class OfferHandler {
  readonly #deps: HandlerDeps;
  readonly #deletes: DeleteHandler;
  /** Since the start, for metrics. */
  readonly counters = { failovers: 0, unanswered: 0 };

  constructor(deps: HandlerDeps, deletes: DeleteHandler) {
    this.#deps = deps;
    this.#deletes = deletes;
  }

  /** @throws HoldfastError as Select */
  async handle(request: CallRequest): Promise<Reply> {
    const { clock, selector, callTtlSeconds } = this.#deps;
    const isNew = request.toTag === undefined;
    if (isNew) {
      await this.#deletes.beginAgain(request);
    }
    const requestId = newRequestId();
    const failed: string[] = [];
    let last: Asked | undefined;
    while (this.#remainingMs(request) > 0) {
      const answer = await selector.select({
        call: request.call,
        requestId,
        ttlSeconds: isNew ? undefined : callTtlSeconds,
        maybeCarried: !isNew,
        constraints: { excluded: failed },
      });
      if (!answer.relay) {
        return errorReply('the relay of this call is gone');
      }
      const remainingMs = this.#remainingMs(request);
      last = await this.#ask(
        answer.relay,
        request,
        isNew ? Math.min(newCallTimeoutMs, remainingMs) : remainingMs,
      );
      if (last.kind === 'replied' && !(isNew && isFull(last.reply))) {
        return last.reply;
      }
      if (isNew) {
        failed.push(answer.relay.relay.id);
        if (!(await this.#toNextRelay(answer, last, failed, requestId, request))) {
          break;
        }
      } else {
        if (this.#remainingMs(request) <= lookAgainMs) {
          break;
        }
        await sleep(clock, lookAgainMs);
      }
    }
    this.counters.unanswered++;
    if (last?.kind === 'replied') {
      return last.reply;
    }
    const { callId } = request.call;
    this.#deps.log.warn(
      { callId, command: request.command, reason: last?.reason },
      'no relay answered an offer',
    );
    return errorReply(`no relay answered in time${last ? `: ${last.reason}` : ''}`);
  }

  #remainingMs({ deadlineMs }: CallRequest): number {
    return deadlineMs - this.#deps.clock.monotonicMs();
  }

  #ask(relay: RegisteredRelay, { body }: CallRequest, timeoutMs: number): Promise<Asked> {
    return askRelay(this.#deps.clients, relay, body, timeoutMs);
  }

  /** @returns false if there is no other relay */
  async #toNextRelay(
    { binding, relay, freshness }: Answer,
    asked: Asked,
    excluded: readonly string[],
    requestId: string,
    request: CallRequest,
  ): Promise<boolean> {
    // Without etcd there is nothing to move: the next Select promises another one.
    if (freshness === 'provisional') {
      this.counters.failovers++;
      if (asked.kind === 'silent' && relay) {
        this.#deletes.cleanUp(relay, request);
      }
      return true;
    }
    const reason = asked.kind === 'replied' ? 'the relay is full' : `the relay is ${asked.kind}`;
    try {
      await this.#deps.selector.move({
        call: binding.call,
        generation: binding.generation,
        reason,
        by: 'gateway',
        inSetupOnly: true,
        requestId,
        constraints: { excluded },
      });
      this.counters.failovers++;
    } catch (error) {
      if (!(error instanceof HoldfastError)) {
        throw error;
      }
      // Another gateway has moved it: the next Select tells where.
      if (error.code === 'failed-precondition') {
        return true;
      }
      return false;
    }
    // It may have begun the call all the same, and would keep its ports until they time out.
    if (asked.kind === 'silent' && relay) {
      this.#deletes.cleanUp(relay, request);
    }
    return true;
  }
}
