import { encodeBody } from '../control/ng/message.js';
import { messageOf } from '../domain/error.js';
import type { RegisteredRelay } from '../domain/relay.js';
import type { Answer } from '../selection/requests.js';
import type { HandlerDeps } from './deps.js';
import type { CallRequest } from './ng/call-request.js';
import { nothingToDelete, type Reply, readReply } from './ng/reply.js';
import { askRelay } from './relay-link.js';
import { RetryQueue } from './retry-queue.js';

/** The proxy's worker waits for the answer to a BYE as well: a relay that is silent is not waited for longer. */
const patienceMs = 400;
/** rtpengine remembers a deleted call for 30 s, and answers `query` for it. */
const branchRecheckMs = 35_000;

/**
 * `delete`: the proxy hears ok at once, whatever the relay does, for there is nothing that it could do better; a relay
 * that did not answer is asked again until it answers or is gone.
 */
export class DeleteHandler {
  readonly #deps: HandlerDeps;
  readonly #retries: RetryQueue;

  constructor(deps: HandlerDeps) {
    this.#deps = deps;
    this.#retries = new RetryQueue(deps.clock);
  }

  /** Since the start, for metrics. */
  get counters(): RetryQueue['counters'] {
    return this.#retries.counters;
  }

  async handle(request: CallRequest): Promise<Reply> {
    const { selector, clients, log } = this.#deps;
    const { call } = request;
    let answer: Answer | undefined;
    try {
      answer = await selector.lookup(call, { predicts: true, adopts: true });
    } catch (error) {
      log.warn(
        { callId: call.callId, reason: messageOf(error) },
        'delete put off: the call cannot be looked up',
      );
      this.#deleteLater(request);
      return { result: 'ok', warning: 'the registry does not answer; the deletion is tried again' };
    }
    if (!answer) {
      return nothingToDelete;
    }
    if (!answer.relay) {
      this.#release(request);
      return { result: 'ok', warning: `relay ${answer.binding.relayId} of this call is gone` };
    }
    const asked = await askRelay(clients, answer.relay, request.body, patienceMs);
    if (asked.kind === 'replied') {
      this.#afterwards(request, answer.relay, asked.reply);
      // Where it really is, etcd alone can say.
      if (answer.freshness === 'provisional') {
        this.#deleteLater(request);
      }
      return asked.reply;
    }
    const { relayId } = answer.binding;
    log.warn(
      { callId: call.callId, relay: relayId, reason: asked.reason },
      'delete put off: the relay does not answer',
    );
    this.#deleteLater(request);
    return { result: 'ok', warning: `relay ${relayId} does not answer; the deletion is tried again` };
  }

  /**
   * A call that was deleted is offered anew, as after a busy branch or a challenge: what is still to be done about its
   * end would hit its new beginning.
   */
  async beginAgain({ call }: CallRequest): Promise<void> {
    await this.#retries.cancel(call);
  }

  /** Ends what a relay may have begun for a call that then went elsewhere. */
  cleanUp(relay: RegisteredRelay, { call, fromTag = '' }: CallRequest): void {
    const body = encodeBody({ command: 'delete', 'call-id': call.callId, 'from-tag': fromTag }, 'bencode');
    this.#retries.schedule(undefined, async () => {
      const { binding } = (await this.#deps.selector.lookup(call)) ?? {};
      // The call has come back to it meanwhile.
      if (binding?.instance === relay.relay.instance) {
        return true;
      }
      return (await askRelay(this.#deps.clients, relay, body, patienceMs)).kind === 'replied';
    });
  }

  stop(): Promise<void> {
    return this.#retries.stop();
  }

  /** A deletion of one branch leaves the binding to the others, until the relay knows nothing of the call any more. */
  #afterwards(request: CallRequest, relay: RegisteredRelay, reply: Buffer): void {
    if (readReply(reply)?.result !== 'ok') {
      return;
    }
    if (request.viaBranch === undefined) {
      this.#release(request);
    } else {
      this.#releaseOnceForgotten(request, relay);
    }
  }

  #release({ call }: CallRequest): void {
    this.#retries.schedule(call, async () => {
      await this.#deps.selector.release(call);
      return true;
    });
  }

  #releaseOnceForgotten({ call }: CallRequest, relay: RegisteredRelay): void {
    const query = encodeBody({ command: 'query', 'call-id': call.callId }, 'bencode');
    const attempt = async () => {
      const asked = await askRelay(this.#deps.clients, relay, query, patienceMs);
      if (asked.kind === 'replied' && readReply(asked.reply)?.result === 'error') {
        await this.#deps.selector.release(call);
      }
      return true;
    };
    this.#retries.schedule(call, attempt, branchRecheckMs);
  }

  #deleteLater({ call, body }: CallRequest): void {
    const { selector, clients } = this.#deps;
    this.#retries.schedule(call, async () => {
      const answer = await selector.lookup(call);
      if (!answer) {
        return true;
      }
      if (answer.relay && (await askRelay(clients, answer.relay, body, patienceMs)).kind !== 'replied') {
        return false;
      }
      await selector.release(call);
      return true;
    });
  }
}
