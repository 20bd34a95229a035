import type { ControlRequest, Verdict } from '../control/protocol.js';
import type { Call } from '../domain/call.js';
import { type ErrorCode, HoldfastError } from '../domain/error.js';
import { defaultSet } from '../domain/name.js';
import type { RegisteredRelay } from '../domain/relay.js';
import type { RelayConstraints } from '../placement/pool.js';
import { type Clock, sleep } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';
import { type FrontMetrics, type RefusalCause, refusalCauseOf } from '../selection/front-metrics.js';
import type { RefusedCalls } from '../selection/refused-calls.js';
import { newRequestId } from '../selection/request-id.js';
import type { Answer } from '../selection/requests.js';
import type { CallMemory } from './call-memory.js';
import { type CallRequest, type CallScope, callOf, graceMs } from './call-request.js';
import { carriedBy } from './control-inquiry.js';
import type { CallRouter } from './deps.js';
import { type FormerRelays, mover } from './former-relays.js';
import type { Asked, RelayAccess } from './relay-clients.js';
import type { RetryQueue } from './retry-queue.js';
import { orLocated } from './slow-registry.js';

/** A relay that has not answered the offer of a call that is being set up by then loses it to the next, if there is one, ms. */
export const setupTimeoutMs = 250;
/** The same for a relay that has not answered the last question either, ms: the time may be needed for others. */
export const silentTimeoutMs = 120;
/** While a relay refuses a call that it carries, its registration is about to go: look again this often, ms. */
const lookAgainMs = 50;

export interface OfferDeps {
  readonly router: CallRouter;
  readonly clients: RelayAccess;
  readonly retries: RetryQueue;
  readonly formerRelays: FormerRelays;
  readonly memory: CallMemory;
  readonly metrics: FrontMetrics;
  readonly refused: RefusedCalls;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Another gateway has moved or answered the call, or its binding has ended: the next Select tells where it is. */
const otherHands: ReadonlySet<ErrorCode> = new Set(['failed-precondition', 'not-found']);

/** What came of asking a relay. */
type Tried = Exclude<Asked, { kind: 'replied' }> | { kind: 'replied'; reply: Buffer; verdict: Verdict };

/**
 * What may begin a call: binds the call where it is new, and finds its relay where it is not. Its binding says which: a call
 * that is being set up goes to the next relay when one is full, dead, silent or cannot do what is asked; one that is answered
 * stays, unless its relay's instance is gone.
 */
export class OfferHandler {
  readonly #deps: OfferDeps;
  /** Since the start, for metrics. */
  readonly counters = { failovers: 0, unanswered: 0 };

  constructor(deps: OfferDeps) {
    this.#deps = deps;
  }

  async handle(offer: CallRequest): Promise<Buffer> {
    const { request } = offer;
    const requestId = newRequestId();
    const failed: string[] = [];
    let begun: Answer | undefined;
    let last: Tried | undefined;
    /** Until the call has gone on to the next one. */
    let leaving: { relay: RegisteredRelay; call: Call } | undefined;
    let isSetup = true;
    try {
      while (this.#remainingMs(offer) > 0) {
        const answer = await this.#select(offer, requestId, failed);
        const { relay, binding, origin } = answer;
        if (!relay) {
          const reason = 'the relay of this call is gone';
          this.#refuse(offer, 'no-relay', reason);
          return request.error(reason);
        }
        if (!last) {
          this.#deps.metrics.countAnswer(origin, answer.freshness);
        }
        isSetup = binding.state === 'setup' && !mayBeAnswered(request, answer);
        begun = isSetup && (origin === 'new' || begun) ? answer : undefined;
        const remainingMs = this.#remainingMs(offer);
        // The proxy has been answered, and may be setting the call up through another gateway.
        if (remainingMs <= 0) {
          break;
        }
        const timeoutMs = this.#deps.clients.isSilent(relay) ? silentTimeoutMs : setupTimeoutMs;
        last = await this.#ask(
          relay,
          binding.call,
          offer,
          isSetup ? Math.min(timeoutMs, remainingMs) : remainingMs,
        );
        if (last.kind === 'replied' && !(isSetup && goesOn(last.verdict))) {
          break;
        }
        // A relay that had less than its time is not known to be silent.
        if (isSetup && last.kind === 'silent' && remainingMs < timeoutMs) {
          break;
        }
        if (isSetup) {
          leaving = { relay, call: binding.call };
          await this.#toNextRelay(answer, last, failed, requestId, offer, begun !== undefined);
          leaving = undefined;
        } else if (this.#remainingMs(offer) > lookAgainMs) {
          await sleep(this.#deps.clock, lookAgainMs);
        } else {
          break;
        }
      }
    } catch (error) {
      if (!(error instanceof HoldfastError)) {
        throw error;
      }
      // There is no other relay. One that said so itself said it best.
      if (last === undefined) {
        return request.full(this.#noRelay(offer, error));
      }
      // One that was silent may be slow only, and the call is still its own.
      const remainingMs = this.#remainingMs(offer);
      if (leaving && last.kind === 'silent' && remainingMs > 0) {
        last = await this.#ask(leaving.relay, leaving.call, offer, remainingMs);
      }
    }
    if (last?.kind !== 'replied') {
      return this.#unanswered(offer, last, isSetup);
    }
    const cause = refusals[last.verdict.kind];
    if (cause) {
      this.#refuse(offer, cause, reasonIn(last.verdict));
    }
    if (begun && beganNothing(last.verdict)) {
      this.#unbind(offer, begun);
    }
    return last.reply;
  }

  /** @returns why there is none, also for what is not in the answer of every protocol */
  #noRelay(offer: CallRequest, error: HoldfastError): string {
    const { request, scope } = offer;
    const leftOut = this.#deps.clients.whyUnspoken(scope.set, request.protocol);
    const told = leftOut === undefined ? error.message : `${error.message}; ${leftOut}`;
    this.#refuse(offer, refusalCauseOf(error), told);
    return told;
  }

  #refuse(offer: CallRequest, cause: RefusalCause, reason: string): void {
    if (this.#remainingMs(offer) <= -graceMs) {
      // Its sender was told already that no answer had come in time.
      return;
    }
    const { request, call, scope } = offer;
    const { protocol, command } = request;
    const set = scope.set ?? defaultSet;
    this.#deps.refused.add(cause, { callId: call.callId, set, protocol, command, reason });
  }

  #unanswered(offer: CallRequest, last: Tried | undefined, isSetup: boolean): Buffer {
    const { request } = offer;
    this.counters.unanswered++;
    const because = last && last.kind !== 'replied' ? `: ${last.reason}` : '';
    const reason = `no relay answered in time${because}`;
    this.#refuse(offer, 'no-answer', reason);
    // Another gateway may know a relay for a new call; for one in progress there is none elsewhere.
    return isSetup ? request.full(reason) : request.error(reason);
  }

  #select(
    { request, call, scope }: CallRequest,
    requestId: string,
    failed: readonly string[],
  ): Answer | Promise<Answer> {
    const { router } = this.#deps;
    const [beside] = request.joinedCallIds;
    // A dialog has a to-tag once the other side has answered: if the call is unknown, a relay may know it.
    const maybeCarried = request.parties?.toTag !== undefined;
    const selected = router.select({
      call,
      requestId,
      maybeCarried,
      withCall: beside && callOf(beside, scope),
      notices: request.notices,
      constraints: this.#constraints(request, scope, failed),
    });
    return maybeCarried && selected instanceof Promise ? orLocated(this.#deps, call, selected) : selected;
  }

  #constraints(
    request: ControlRequest,
    { set, zone, labels }: CallScope,
    failed: readonly string[],
  ): RelayConstraints {
    return {
      zone,
      labels,
      // Read only where a relay is chosen: most offers are of calls that have one.
      get needs() {
        return request.needs;
      },
      excluded: [...this.#deps.clients.unspoken(set, request.protocol), ...failed],
    };
  }

  #remainingMs({ deadlineMs }: CallRequest): number {
    return deadlineMs - this.#deps.clock.monotonicMs();
  }

  async #ask(relay: RegisteredRelay, call: Call, offer: CallRequest, timeoutMs: number): Promise<Tried> {
    const { clients, clock, memory } = this.#deps;
    const { request } = offer;
    const deadlineMs = clock.monotonicMs() + timeoutMs;
    await this.#replay(relay, call, deadlineMs);
    const asked = await clients.ask(relay, request, deadlineMs - clock.monotonicMs());
    if (asked.kind !== 'replied') {
      return asked;
    }
    const verdict = request.judge(asked.reply);
    if (verdict.kind === 'accepted') {
      memory.accepted(call, request, relay.relay);
    }
    return { ...asked, verdict };
  }

  /** Where a call has come from another relay, this one is told of both parties, whichever of them the offer is from. */
  async #replay(relay: RegisteredRelay, call: Call, deadlineMs: number): Promise<void> {
    const { clients, clock, memory } = this.#deps;
    const replay = memory.replay(call, relay.relay);
    const remainingMs = () => deadlineMs - clock.monotonicMs();
    // Another gateway may have told it already, and of later media than this one knows.
    if (
      replay.length === 0 ||
      (await carriedBy(clients, relay, memory, call, { timeoutMs: remainingMs() }))
    ) {
      return;
    }
    for (const each of replay) {
      await clients.ask(relay, each, remainingMs());
    }
  }

  /** @throws HoldfastError if there is no other relay */
  async #toNextRelay(
    { binding, relay, freshness }: Answer,
    tried: Tried,
    failed: string[],
    requestId: string,
    offer: CallRequest,
    isNew: boolean,
  ): Promise<void> {
    const { router, formerRelays, memory } = this.#deps;
    const { request, scope } = offer;
    failed.push(binding.relayId);
    // Without etcd there is nothing to move: the next Select promises another one.
    if (freshness !== 'provisional') {
      try {
        await router.move({
          call: binding.call,
          generation: binding.generation,
          reason: reasonOf(tried),
          by: mover,
          requestId,
          inSetupOnly: true,
          deadlineMs: offer.deadlineMs,
          constraints: this.#constraints(request, scope, failed),
        });
      } catch (error) {
        if (error instanceof HoldfastError && otherHands.has(error.code)) {
          return;
        }
        throw error;
      }
    }
    this.counters.failovers++;
    // One that is silent may have begun the call all the same, and would keep its ports until they time out. Where the move was
    // long in coming, another gateway may have set the call up there.
    if (this.#remainingMs(offer) > 0 && relay && (tried.kind === 'silent' || !isNew)) {
      formerRelays.endOn(binding, memory.protocol.deleteRequest(offer.parties));
    }
  }

  /** The relay knows no such command, or no such call: no relay carries it. */
  #unbind({ call }: CallRequest, { binding }: Answer): void {
    this.#deps.retries.schedule({
      purpose: `release call ${call.callId}, which no relay has begun`,
      attempt: async () => {
        await this.#deps.router.release(binding.call, binding);
        return 'done';
      },
    });
  }
}

function goesOn({ kind }: Verdict): boolean {
  return kind === 'full' || kind === 'unsupported';
}

/** What a relay's last word on an offer means for the call. An unknown call was never one. */
const refusals: Readonly<Partial<Record<Verdict['kind'], RefusalCause>>> = {
  full: 'relay-full',
  unsupported: 'relay-unable',
  error: 'relay-error',
};

function reasonIn(verdict: Verdict): string {
  return 'reason' in verdict ? verdict.reason : verdict.kind;
}

function beganNothing({ kind }: Verdict): boolean {
  return kind === 'unsupported' || kind === 'unknown-call';
}

function reasonOf(tried: Tried): string {
  if (tried.kind !== 'replied') {
    return `the relay is ${tried.kind}`;
  }
  return tried.verdict.kind === 'full' ? 'the relay is full' : 'the relay cannot do what the offer needs';
}

/** Without etcd this gateway does not hear that the answer went through another one: no relay that is only slow loses the call. */
function mayBeAnswered({ parties }: ControlRequest, { freshness, origin }: Answer): boolean {
  return freshness === 'provisional' && origin !== 'new' && parties?.toTag !== undefined;
}
