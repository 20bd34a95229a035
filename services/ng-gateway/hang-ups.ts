import { messageOf } from '../domain/error.js';
import type { RegisteredRelay } from '../domain/relay.js';
import { encodeBody } from '../ng/message.js';
import { sleep } from '../runtime/clock.js';
import type { Answer } from '../selection/question.js';
import type { CallRequest } from './call-request.js';
import type { CommandParts } from './parts.js';
import { askRelay } from './relay-link.js';
import { nothingToDelete, type Reply, readReply } from './reply.js';

/** The proxy's worker waits for the answer to a BYE as well: a relay that is silent is not waited for longer. */
const patienceMs = 400;
/** Deletions that are still owed to relays. More would be a relay that is silent for good: its sessions time out. */
const maxOwed = 10_000;
const retryMs = { first: 500, most: 5_000 };
/** rtpengine ends a session without packets after 60 s by itself. */
const giveUpAfterMs = 120_000;
/** rtpengine remembers a deleted call for 30 s, and answers `query` for it. */
const branchRecheckMs = 35_000;

/**
 * `delete`: the proxy hears ok at once, whatever the relay does, for there is nothing that it could do better; a relay
 * that did not answer is asked again until it answers or is gone.
 */
export class HangUps {
  readonly #parts: CommandParts;
  readonly #stopping = new AbortController();
  readonly #owed = new Set<Promise<void>>();
  /** Since the start, for metrics. */
  readonly counters = { retried: 0, abandoned: 0 };

  constructor(parts: CommandParts) {
    this.#parts = parts;
  }

  /** Deletions still owed to relays. */
  get owed(): number {
    return this.#owed.size;
  }

  async handle(request: CallRequest): Promise<Reply> {
    const { selector, clients, log } = this.#parts;
    const { call } = request;
    let answer: Answer | undefined;
    try {
      answer = await selector.lookup(call);
    } catch (error) {
      log.warn(
        { callId: call.callId, reason: messageOf(error) },
        'delete put off: the call cannot be looked up',
      );
      this.#owe(() => this.#deleteLater(request));
      return { result: 'ok', warning: 'the registry does not answer; the deletion is tried again' };
    }
    if (!answer) return nothingToDelete;
    if (!answer.relay) {
      this.#release(request);
      return { result: 'ok', warning: `relay ${answer.binding.relayId} of this call is gone` };
    }
    const asked = await askRelay(clients, answer.relay, request.body, patienceMs);
    if (asked.kind === 'replied') {
      this.#afterwards(request, answer.relay, asked.reply);
      return asked.reply;
    }
    const { relayId } = answer.binding;
    log.warn(
      { callId: call.callId, relay: relayId, reason: asked.reason },
      'delete put off: the relay does not answer',
    );
    this.#owe(() => this.#deleteLater(request));
    return { result: 'ok', warning: `relay ${relayId} does not answer; the deletion is tried again` };
  }

  /** Ends what a relay may have begun for a call that then went elsewhere. */
  cleanUp(relay: RegisteredRelay, { call, fromTag = '' }: CallRequest): void {
    const body = encodeBody({ command: 'delete', 'call-id': call.callId, 'from-tag': fromTag }, 'bencode');
    this.#owe(() =>
      this.#untilDone(async () => {
        const { binding } = (await this.#parts.selector.lookup(call)) ?? {};
        // The call has come back to it meanwhile.
        if (binding?.instance === relay.relay.instance) return true;
        return (await askRelay(this.#parts.clients, relay, body, patienceMs)).kind === 'replied';
      }),
    );
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#owed);
  }

  /** A deletion of one branch leaves the binding to the others, until the relay knows nothing of the call any more. */
  #afterwards(request: CallRequest, relay: RegisteredRelay, reply: Buffer): void {
    if (readReply(reply)?.result !== 'ok') return;
    if (request.viaBranch === undefined) this.#release(request);
    else this.#releaseOnceForgotten(request, relay);
  }

  #releaseOnceForgotten(request: CallRequest, relay: RegisteredRelay): void {
    this.#owe(async () => {
      await sleep(this.#parts.clock, branchRecheckMs, this.#stopping.signal);
      if (this.#stopping.signal.aborted) return;
      const query = encodeBody({ command: 'query', 'call-id': request.call.callId }, 'bencode');
      const asked = await askRelay(this.#parts.clients, relay, query, patienceMs);
      if (asked.kind === 'replied' && readReply(asked.reply)?.result === 'error') this.#release(request);
    });
  }

  #release({ call }: CallRequest): void {
    this.#owe(() =>
      this.#untilDone(async () => {
        await this.#parts.selector.release(call);
        return true;
      }),
    );
  }

  async #deleteLater(request: CallRequest): Promise<void> {
    const { selector, clients } = this.#parts;
    await this.#untilDone(async () => {
      const answer = await selector.lookup(request.call);
      if (!answer) return true;
      if (
        answer.relay &&
        (await askRelay(clients, answer.relay, request.body, patienceMs)).kind !== 'replied'
      )
        return false;
      await selector.release(request.call);
      return true;
    });
  }

  /** Tries until it is done, it has been too long, or the gateway stops. */
  async #untilDone(attempt: () => Promise<boolean>): Promise<void> {
    const { clock } = this.#parts;
    const startedAtMs = clock.monotonicMs();
    for (let delayMs = retryMs.first; ; delayMs = Math.min(retryMs.most, delayMs * 2)) {
      if (await attempt().catch(() => false)) return;
      if (this.#stopping.signal.aborted || clock.monotonicMs() - startedAtMs > giveUpAfterMs) break;
      await sleep(clock, delayMs, this.#stopping.signal);
      this.counters.retried++;
    }
    this.counters.abandoned++;
  }

  #owe(task: () => Promise<void>): void {
    if (this.#owed.size >= maxOwed || this.#stopping.signal.aborted) {
      this.counters.abandoned++;
      return;
    }
    const owed = task().finally(() => this.#owed.delete(owed));
    this.#owed.add(owed);
  }
}
