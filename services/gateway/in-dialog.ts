import type { RegisteredRelay } from '../domain/relay.js';
import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';
import { RateLimitedWarning } from '../runtime/rate-limited-warning.js';
import type { Answer } from '../selection/requests.js';
import type { CallMemory } from './call-memory.js';
import type { CallRequest } from './call-request.js';
import type { CallRouter } from './deps.js';
import type { FormerRelays } from './former-relays.js';
import { whyApart } from './joined-calls.js';
import type { RelayAccess } from './relay-clients.js';
import type { RetryQueue } from './retry-queue.js';
import { orLocated } from './slow-registry.js';

export interface InDialogDeps {
  readonly router: CallRouter;
  readonly clients: RelayAccess;
  readonly retries: RetryQueue;
  readonly formerRelays: FormerRelays;
  readonly memory: CallMemory;
  readonly callTtlSeconds: number;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * `answer`, `query` and every other command that needs the call to be there: the bound relay, or the one that is found
 * carrying it. Another one would know nothing of the call.
 */
export class InDialogHandler {
  readonly #deps: InDialogDeps;
  readonly #silent: RateLimitedWarning;

  constructor(deps: InDialogDeps) {
    this.#deps = deps;
    this.#silent = new RateLimitedWarning('relay did not answer', deps.clock, deps.log);
  }

  /**
   * Undefined if the call is not bound, and no relay carries it.
   * @throws HoldfastError `unavailable`, `overloaded`
   */
  async handle(inDialog: CallRequest): Promise<Buffer | undefined> {
    const found = await orLocated(this.#deps, inDialog.call, this.#lookup(inDialog));
    if (!found) {
      return undefined;
    }
    const { reply, isDenied } = await this.#ask(found, inDialog);
    const { instance, state } = found.binding;
    // It may have been answered on another one.
    const now = isDenied && state === 'setup' ? await this.#lookup(inDialog, instance) : undefined;
    return now && now.binding.instance !== instance ? (await this.#ask(now, inDialog)).reply : reply;
  }

  /** @param deniedBy instance of a relay that does not know the call */
  #lookup({ request, call }: CallRequest, deniedBy?: string): Promise<Answer | undefined> {
    const options = { adopts: true, isUse: true, predicts: true, deniedBy };
    const keepSeconds = this.#deps.callTtlSeconds;
    return this.#deps.router.lookup(call, request.act === 'answer' ? { ...options, keepSeconds } : options);
  }

  async #ask(
    answer: Answer,
    { request, call, parties, scope, deadlineMs }: CallRequest,
  ): Promise<{ readonly reply: Buffer; readonly isDenied?: boolean }> {
    const { router, clients, formerRelays, memory, clock } = this.#deps;
    const { relayId, generation } = answer.binding;
    if (!answer.relay) {
      return { reply: request.error(`relay ${relayId} of this call is gone; offer again`) };
    }
    const apart = await whyApart(router, request, scope, answer.relay);
    if (apart !== undefined) {
      return { reply: request.error(`${request.command}: ${apart}`) };
    }
    const asked = await clients.ask(answer.relay, request, deadlineMs - clock.monotonicMs());
    if (asked.kind !== 'replied') {
      const { command } = request;
      this.#silent.warn({ callId: call.callId, relay: relayId, generation, command, reason: asked.reason });
      return { reply: request.error(`relay ${relayId} of this call did not answer: ${asked.reason}`) };
    }
    const { kind } = request.judge(asked.reply);
    if (kind === 'accepted') {
      memory.accepted(answer.binding.call, request, answer.relay.relay);
      if (request.act === 'answer') {
        this.#answered(answer, answer.relay);
        // Both parties know the new relay by now.
        formerRelays.end(answer.binding, () => memory.protocol.endRequest(parties));
      }
    }
    return { reply: asked.reply, isDenied: kind === 'unknown-call' };
  }

  /** From now on the call is in progress. The proxy is not kept waiting: as one that is set up it has minutes to live. */
  #answered({ binding }: Answer, relay: RegisteredRelay): void {
    const { router, retries } = this.#deps;
    let attempts = 0;
    retries.schedule({
      purpose: `note that call ${binding.call.callId} is answered`,
      attempt: async () => {
        // Another gateway may have released the call by the time that etcd confirms it.
        const isLate = attempts++ > 0;
        if (await router.answered(binding.call, binding, isLate)) {
          return 'done';
        }
        const now = (await router.lookup(binding.call))?.binding;
        if (now?.instance === binding.instance) {
          // What this replica remembered was a former beginning of the call, on the same relay.
          await router.answered(now.call, now, isLate);
        } else if (now?.state === 'setup' && now.beginning === binding.beginning) {
          // Another gateway had no answer of the relay in time, and has moved the call.
          await router.adopt(now.call, relay, { duringSetup: true });
        }
        return 'done';
      },
    });
  }
}
