import type { CallParties, ControlRequest } from '../control/protocol.js';
import { type Binding, clockSkewSeconds, isVersionOf } from '../domain/binding.js';
import type { Call } from '../domain/call.js';
import { messageOf } from '../domain/error.js';
import { type Clock, inTime } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';
import { RateLimitedWarning } from '../runtime/rate-limited-warning.js';
import { newRequestId } from '../selection/request-id.js';
import type { Answer } from '../selection/requests.js';
import type { CallMemory } from './call-memory.js';
import type { CallRequest } from './call-request.js';
import { carriedBy } from './control-inquiry.js';
import { delayMsOf, deleteDelayMs } from './delete-delay.js';
import type { CallRouter } from './deps.js';
import type { FormerRelays } from './former-relays.js';
import type { OrphanedSessions } from './orphaned-sessions.js';
import type { RelayAccess } from './relay-clients.js';
import type { RetryQueue } from './retry-queue.js';

/**
 * The proxy's worker waits for the answer to a BYE as well: registry and relay have this long each, ms, and the answer leaves
 * within 0.9 s.
 */
const timeoutMs = 400;
/** Relays end a session without media after a minute, unless configured otherwise. */
const branchDelayMs = 90_000;
/** Attempts to ask a relay that has answered the delete and is silent since, by then for about half a minute. */
const mostSilences = 10;
/**
 * Times that etcd is asked for a call which it does not know, by then for some seconds: once it is back, other replicas write
 * what they have promised without it. Then relays are asked.
 */
const mostLooks = 5;
/** An offer that was under way has been answered by then. */
const offerTimeoutMs = 1000;

/** A delete that was answered before it was done. */
interface PutOff extends CallRequest {
  /** By the wall clock. */
  readonly receivedAtMs: number;
}

/** Whom a delete names. They are parts of its bytes. */
type Told = Pick<CallRequest, 'request' | 'parties'>;

export interface DeleteDeps {
  readonly router: CallRouter;
  readonly clients: RelayAccess;
  readonly retries: RetryQueue;
  readonly orphans: OrphanedSessions;
  readonly formerRelays: FormerRelays;
  readonly memory: CallMemory;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * `delete`: the proxy hears ok in time, whatever registry and relay do, for there is nothing that it could do better; a relay
 * that did not answer is asked again until it answers or is gone. The binding ends when the relay does not know the call any
 * more: what a request names may be one branch of it, or a tag that matches nothing.
 */
export class DeleteHandler {
  readonly #deps: DeleteDeps;
  readonly #putOffs: Readonly<Record<'unknown' | 'silent', RateLimitedWarning>>;

  constructor(deps: DeleteDeps) {
    this.#deps = deps;
    const warning = (reason: string) =>
      new RateLimitedWarning(`delete put off: ${reason}`, deps.clock, deps.log);
    this.#putOffs = {
      unknown: warning('the call cannot be looked up'),
      silent: warning('the relay does not answer'),
    };
  }

  async handle(deletion: CallRequest): Promise<Buffer> {
    const { router, memory, clock } = this.#deps;
    const { request, call } = deletion;
    const receivedAtMs = clock.wallMs();
    const remembered = router.remembered(call);
    const found = await this.#lookup(deletion);
    memory.ended(call, request);
    if (typeof found === 'string') {
      this.#putOffs.unknown.warn({ callId: call.callId, reason: found });
      this.#deleteLater({ ...deletion, receivedAtMs }, remembered);
      return request.ok('the registry does not answer; the deletion is tried again');
    }
    return found ? this.#delete({ ...deletion, receivedAtMs }, found) : request.unknownCall();
  }

  async #delete(deletion: PutOff, found: Answer): Promise<Buffer> {
    const { clients, formerRelays, memory, clock } = this.#deps;
    const { request, call } = deletion;
    const { binding, relay, freshness } = found;
    // A moved call without a re-INVITE since is still on its former relay.
    const former = formerRelays.of(binding);
    formerRelays.end(binding, () => request);
    if (!relay) {
      void this.#release(found);
      this.#putOff(deletion, found);
      return request.ok(`relay ${binding.relayId} of this call is gone`);
    }
    const asked = await clients.ask(relay, request, this.#leftMs(deletion.deadlineMs));
    if (asked.kind === 'replied') {
      const { kind } = request.judge(asked.reply);
      const elsewhere = kind === 'unchanged' ? await this.#elsewhere(deletion, found) : undefined;
      if (elsewhere) {
        return this.#delete(deletion, elsewhere);
      }
      // Where nothing was deleted, the relay may have ended the call before.
      const mayHaveEnded = kind === 'unchanged' && memory.isNamedBy(call, deletion.parties);
      if (kind === 'accepted' || mayHaveEnded || former.length > 0) {
        this.#releaseOnceEnded(deletion, found, 0);
      }
      if (kind === 'accepted' || former.length > 0) {
        this.#releaseOnceEnded(deletion, found, delayMsOf(request));
      }
      // Where it really is, etcd alone can say; if it is there, the call may have begun anew since it was deleted.
      if (freshness === 'provisional') {
        this.#deleteLater(deletion, binding, binding.instance);
      }
      return asked.reply;
    }
    const { relayId } = binding;
    this.#putOffs.silent.warn({ callId: call.callId, relay: relayId, reason: asked.reason });
    // The proxy takes the call for ended: what it offers from now on is a new beginning, and must find it released.
    await inTime(clock, deletion.deadlineMs - clock.monotonicMs(), this.#release(found), undefined);
    this.#putOff(deletion, found);
    return request.ok(`relay ${relayId} does not answer; the deletion is tried again`);
  }

  /** The relay of the call is silent or away. */
  #putOff(deletion: PutOff, found: Answer): void {
    if (found.freshness === 'provisional') {
      // Others may have promised it as well, and write that as a call of their own once etcd is back.
      this.#deleteLater(deletion, found.binding);
    } else {
      this.#endLater(deletion, found);
    }
  }

  /**
   * One branch of a forked call has ended, and its relay is not told, for the sake of the others. If nobody is left, and the
   * proxy does not say so, the relay ends the call when no media have come for a while; then the binding ends.
   */
  leave(call: Call, request: ControlRequest): void {
    const { router, retries } = this.#deps;
    const { parties } = request;
    retries.schedule({
      purpose: `ask whether call ${call.callId}, of which a branch has ended, is still carried`,
      request,
      delayMs: branchDelayMs,
      attempt: async () => {
        const found = await router.lookup(call, { current: true });
        if (found && parties) {
          this.#releaseOnceEnded({ request, parties }, found, 0);
        }
        return 'done';
      },
    });
  }

  /** Or why it cannot be known in time. */
  #lookup({ call, deadlineMs }: CallRequest, deniedBy?: string): Promise<Answer | undefined | string> {
    // What is done about the call from here on is meant for the binding of now, and for no other.
    const options = { adopts: true, predicts: true, current: true, deniedBy };
    const lookup = this.#deps.router.lookup(call, options).catch(messageOf);
    const leftMs = this.#leftMs(deadlineMs);
    return inTime(this.#deps.clock, leftMs, lookup, `no answer within ${leftMs} ms`);
  }

  /** For one step of what the proxy waits for, ms. */
  #leftMs(deadlineMs: number): number {
    return Math.min(timeoutMs, deadlineMs - this.#deps.clock.monotonicMs());
  }

  /** The call was being set up on a relay that does not know it: it may have been answered on another one. */
  async #elsewhere(deletion: CallRequest, { binding }: Answer): Promise<Answer | undefined> {
    const { instance, state } = binding;
    const found = state === 'setup' ? await this.#lookup(deletion, instance) : undefined;
    return typeof found === 'object' && found.binding.instance !== instance ? found : undefined;
  }

  /** Resolves when it is done, however long that takes. */
  #release({ binding }: Answer): Promise<void> {
    const { router, retries } = this.#deps;
    return new Promise((resolve) => {
      retries.schedule({
        purpose: `release call ${binding.call.callId}`,
        attempt: async () => {
          await router.release(binding.call, binding);
          resolve();
          return 'done';
        },
      });
    });
  }

  #releaseOnceEnded({ request, parties }: Told, found: Answer, delayMs: number): void {
    const { router, retries } = this.#deps;
    const { binding } = found;
    let silences = 0;
    retries.schedule({
      purpose: `ask relay ${binding.relayId} whether it still carries call ${binding.call.callId}`,
      request,
      delayMs,
      attempt: async () => {
        const isCarried = await this.#isCarried(found, parties);
        if (isCarried === undefined && found.relay && ++silences < mostSilences) {
          return 'again';
        }
        if (isCarried === false && (await router.release(binding.call, binding))) {
          this.#reopenIfCarried(found, { request, parties });
        }
        if (isCarried && delayMs === deleteDelayMs) {
          this.#releaseOnceEnded({ request, parties }, found, 2 * deleteDelayMs);
        }
        return 'done';
      },
    });
  }

  /** A proxy may have offered the call again before it was released, and the relay have begun it after it was asked. */
  #reopenIfCarried(found: Answer, { request, parties }: Told): void {
    const { binding } = found;
    this.#deps.retries.schedule({
      purpose: `ask relay ${binding.relayId} whether call ${binding.call.callId} has begun again`,
      request,
      delayMs: offerTimeoutMs,
      attempt: async () => {
        if (await this.#isCarried(found, parties)) {
          await this.#reopen(found);
        }
        return 'done';
      },
    });
  }

  /** The call was released, and its relay carries it: it goes on. */
  async #reopen({ binding }: Answer): Promise<Answer | undefined> {
    const { router } = this.#deps;
    const now = await router.lookup(binding.call, { current: true });
    if (now?.binding.state !== 'released' || !isVersionOf(now.binding, binding)) {
      return now;
    }
    const reopened = await router.select({
      call: binding.call,
      requestId: newRequestId(),
      constraints: {},
    });
    return binding.state === 'answered' ? router.answered(binding.call, reopened.binding) : reopened;
  }

  /** By its relay, or by one that it was moved away from. Undefined if that is not known. */
  async #isCarried({ binding, relay }: Answer, parties: CallParties): Promise<boolean | undefined> {
    const { clients, formerRelays, memory } = this.#deps;
    const relays = relay ? [relay, ...formerRelays.of(binding)] : [];
    const asked = { parties, timeoutMs };
    const answers = await Promise.all(
      relays.map((each) => carriedBy(clients, each, memory, binding.call, asked)),
    );
    if (answers.some((answer) => answer)) {
      return true;
    }
    return relay && !answers.includes(undefined) ? false : undefined;
  }

  /**
   * The call could not be looked up: what is found first is meant, unless the call was bound since, or its relay has heard of it
   * since. Without etcd it may have begun again at another gateway, in the same binding.
   * @param remembered the binding as it was last seen here
   * @param told instance of a relay that has deleted the call already
   */
  #deleteLater(deletion: PutOff, remembered: Binding | undefined, told?: string): void {
    const { request, call } = deletion;
    const { router, clients, retries, log } = this.#deps;
    let looks = 0;
    let isPromiseEnded = false;
    retries.schedule({
      purpose: `look call ${call.callId} up, which is to be deleted`,
      request,
      attempt: async () => {
        const isLast = looks === mostLooks;
        const found = await router.lookup(call, { current: true, adopts: isLast });
        if (!found) {
          looks++;
          return isLast ? 'done' : 'again';
        }
        const { binding, relay } = found;
        const isOther = binding.beginning !== remembered?.beginning;
        if (await this.#hasBegunSince(found, deletion, { isOther, isTold: binding.instance === told })) {
          log.info({ callId: call.callId }, 'delete given up: the call has begun again since');
          return 'canceled';
        }
        // Where the call really is, etcd alone can say, once it answers.
        if (found.freshness === 'provisional') {
          if (binding.instance === told && !isPromiseEnded) {
            isPromiseEnded = true;
            this.#releaseUnlessCarried(deletion, found);
          }
          return 'again';
        }
        const isTold =
          binding.instance === told ||
          (relay && (await clients.ask(relay, request, timeoutMs)).kind === 'replied');
        if (isTold) {
          this.#releaseUnlessCarried(deletion, found);
        } else {
          void this.#release(found);
          this.#endLater(deletion, found);
        }
        return 'done';
      },
    });
  }

  /**
   * By the word of its relay, which is in whole seconds. What that leaves open the binding tells, if it is another one than was
   * meant; but one that was adopted is younger than its call.
   * @param isTold the relay has deleted the call already
   */
  async #hasBegunSince(
    found: Answer,
    deletion: PutOff,
    { isOther, isTold }: { readonly isOther: boolean; readonly isTold: boolean },
  ): Promise<boolean> {
    const { receivedAtMs } = deletion;
    const { createdAtMs, begunAgainAtMs = createdAtMs } = found.binding;
    const isYounger = isOther && this.#isSince(begunAgainAtMs, receivedAtMs);
    const signaledAtMs = isTold ? undefined : await this.#signaledAtMs(found, deletion);
    if (signaledAtMs === undefined || !this.#isSince(signaledAtMs, 0)) {
      return isYounger;
    }
    return this.#isSince(signaledAtMs, receivedAtMs) || (isYounger && signaledAtMs + 1000 > receivedAtMs);
  }

  /** What is of the future was dated by a clock that is ahead of this one: that tells nothing. */
  #isSince(atMs: number, sinceMs: number): boolean {
    return atMs > sinceMs && atMs <= this.#deps.clock.wallMs() + clockSkewSeconds * 1000;
  }

  /** When its relay has last heard of the call; undefined if it does not carry it, or does not say. */
  async #signaledAtMs({ binding, relay }: Answer, { parties }: PutOff): Promise<number | undefined> {
    const { clients, memory } = this.#deps;
    const carried = relay && (await carriedBy(clients, relay, memory, binding.call, { parties, timeoutMs }));
    return carried ? carried.signaledAtMs : undefined;
  }

  /** The relay of the call is silent or away. Without etcd the call may begin again in the same binding meanwhile. */
  #endLater(deletion: PutOff, found: Answer): void {
    const { request } = deletion;
    const { call, relayId, instance } = found.binding;
    this.#deps.orphans.end(
      {
        call,
        relayId,
        instance,
        isOrphaned: async ({ binding }, relay) => {
          if (!isVersionOf(binding, found.binding)) {
            return false;
          }
          const signaledAtMs = await this.#signaledAtMs({ ...found, relay }, deletion);
          const isBegunAgain = this.#isSince(signaledAtMs ?? 0, deletion.receivedAtMs);
          if (isBegunAgain) {
            this.#releaseOnceEnded(deletion, { ...found, relay }, deleteDelayMs);
          }
          return !isBegunAgain;
        },
        ended: (relay) => this.#releaseUnlessCarried(deletion, { ...found, relay }),
      },
      request,
    );
  }

  /** The relay has answered a delete late: now it can be known whether that was the end of the call. */
  #releaseUnlessCarried({ request, parties }: Told, found: Answer): void {
    const { router, retries } = this.#deps;
    const { binding } = found;
    retries.schedule({
      purpose: `ask relay ${binding.relayId} whether it still carries call ${binding.call.callId}`,
      request,
      attempt: async () => {
        if (!(await this.#isCarried(found, parties))) {
          await router.release(binding.call, binding);
          return 'done';
        }
        const reopened = await this.#reopen(found);
        if (reopened) {
          this.#releaseOnceEnded({ request, parties }, reopened, deleteDelayMs);
        }
        return 'done';
      },
    });
  }
}
