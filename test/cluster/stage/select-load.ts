import { randomUUID } from 'node:crypto';
import type { ChannelCredentials } from '@grpc/grpc-js';
import { Freshness, Origin } from '../../../proto/generated/holdfast/v1/selection.js';
import { HoldfastClient } from '../../../services/client/index.js';
import type { Scope } from '../../support/process.js';

interface Call {
  readonly relay: string;
  /** Grows with each move, also to the next instance of the same relay. */
  readonly generation: number;
  /** Chosen while etcd was out of reach: it counts when etcd has it, and until then another replica may choose again. */
  readonly isProvisional: boolean;
}

const everyMs = 100;
/** A new client this often: one of them resolves the name just before any moment. */
const newClientMs = 10_000;
const mostClients = 6;
/** Calls in progress, which are selected for again and again. */
const callsInProgress = 100;
const firstAnswerMs = 60_000;

/** Select calls of SIP proxies that use the shipped client, for new calls and for those in progress. */
export class SelectLoad {
  /** Begins its Call-IDs. */
  readonly #name = randomUUID();
  readonly #clients: HoldfastClient[] = [];
  /** Each call in progress, the oldest first. */
  readonly #calls = new Map<string, Call>();
  readonly #pending = new Set<Promise<void>>();
  readonly #reasons = new Map<string, number>();
  readonly #timers: NodeJS.Timeout[] = [];
  #requests = 0;
  #started = 0;
  #failed = 0;
  #moved = 0;
  readonly #left = new Set<string>();
  #rebound = 0;
  #notFresh = 0;
  /** Since when no answer has been fresh. */
  #withoutEtcdSinceMs: number | undefined;
  #longestWithoutEtcdMs = 0;
  #slowestMs = 0;

  private constructor(
    private readonly target: string,
    private readonly credentials: () => ChannelCredentials | undefined,
  ) {}

  /** Begins when the service has answered once. @param credentials asked for again by each new client */
  static async start(
    scope: Scope,
    target: string,
    credentials: () => ChannelCredentials | undefined = () => undefined,
  ): Promise<SelectLoad> {
    const load = new SelectLoad(target, credentials);
    scope.teardown(() => load.#stop());
    load.#addClient();
    await load.#answered();
    load.#timers.push(setInterval(() => load.#addClient(), newClientMs));
    load.#timers.push(setInterval(() => load.#send(), everyMs));
    return load;
  }

  /** Ends it. @returns what there was */
  async finish(): Promise<SelectReport> {
    this.#stopTimers();
    await Promise.all(this.#pending);
    this.#stop();
    // An outage that lasts ends with the load.
    this.#countFreshness(true);
    return new SelectReport(
      this.#requests,
      this.#started,
      this.#failed,
      this.#moved,
      [...this.#left],
      this.#rebound,
      this.#notFresh,
      Math.round(this.#longestWithoutEtcdMs),
      Math.round(this.#slowestMs),
      [...this.#reasons].map(([reason, times]) => `${times} × ${reason}`),
    );
  }

  async #answered(): Promise<void> {
    const deadlineMs = performance.now() + firstAnswerMs;
    while (this.#calls.size === 0) {
      await this.#request(`${this.#name}-first`);
      if (performance.now() > deadlineMs) {
        throw new Error(`no answer from ${this.target}: ${[...this.#reasons.keys()].join('; ')}`);
      }
    }
    this.#failed = 0;
    this.#reasons.clear();
  }

  #stopTimers(): void {
    for (const timer of this.#timers.splice(0)) {
      clearInterval(timer);
    }
  }

  #stop(): void {
    this.#stopTimers();
    for (const client of this.#clients.splice(0)) {
      client.close();
    }
  }

  #addClient(): void {
    const credentials = this.credentials();
    this.#clients.push(new HoldfastClient(this.target, credentials ? { credentials } : {}));
    if (this.#clients.length > mostClients) {
      // Not the first one: it has known the service for longest.
      this.#clients.splice(1, 1)[0]?.close();
    }
  }

  #send(): void {
    const isNew = this.#requests % 2 === 0 || this.#calls.size === 0;
    const known = [...this.#calls.keys()];
    const callId = isNew ? `${this.#name}-${this.#started}` : known[this.#requests % known.length];
    const sent = this.#request(callId ?? '');
    this.#pending.add(sent);
    void sent.finally(() => this.#pending.delete(sent));
  }

  async #request(callId: string): Promise<void> {
    const known = this.#calls.get(callId);
    const client = this.#clients[this.#requests % this.#clients.length];
    this.#requests++;
    this.#started += known ? 0 : 1;
    const beganMs = performance.now();
    try {
      const answer = await client?.select({ callId, inDialog: known !== undefined });
      const now = {
        relay: answer?.binding?.relay?.id ?? '',
        generation: Number(answer?.binding?.generation),
        isProvisional: answer?.freshness === Freshness.PROVISIONAL,
      };
      this.#count(known, now, answer?.origin === Origin.MOVED);
      this.#countFreshness(answer?.freshness === Freshness.FRESH);
      this.#calls.set(callId, now);
      const [oldest] = this.#calls.keys();
      if (this.#calls.size > callsInProgress && oldest !== undefined) {
        this.#calls.delete(oldest);
      }
    } catch (error) {
      this.#failed++;
      const reason = error instanceof Error ? error.message : String(error);
      this.#reasons.set(reason, (this.#reasons.get(reason) ?? 0) + 1);
    }
    this.#slowestMs = Math.max(this.#slowestMs, performance.now() - beganMs);
  }

  #countFreshness(isFresh: boolean): void {
    const nowMs = performance.now();
    if (isFresh) {
      const forMs = nowMs - (this.#withoutEtcdSinceMs ?? nowMs);
      this.#longestWithoutEtcdMs = Math.max(this.#longestWithoutEtcdMs, forMs);
      this.#withoutEtcdSinceMs = undefined;
    } else {
      this.#notFresh++;
      this.#withoutEtcdSinceMs ??= nowMs;
    }
  }

  /** @param wasMoved as the service says of a call that is new here: an attempt that got no answer bound it */
  #count(known: Call | undefined, now: Call, wasMoved: boolean): void {
    if (known?.isProvisional) {
      this.#rebound += known.relay === now.relay ? 0 : 1;
    } else if (known ? known.relay !== now.relay || known.generation < now.generation : wasMoved) {
      this.#moved++;
      this.#left.add(known?.relay ?? 'a relay that was not told');
    }
  }
}

export class SelectReport {
  constructor(
    readonly requests: number,
    readonly calls: number,
    readonly failed: number,
    readonly moved: number,
    /** The relays that calls have been moved away from. */
    readonly left: readonly string[],
    /** Calls that got another relay than the provisional one. */
    readonly rebound: number,
    /** Answers from memory, while etcd was out of reach. */
    readonly notFresh: number,
    /** The longest time without an answer that etcd stands behind. */
    readonly withoutEtcdMs: number,
    readonly slowestMs: number,
    readonly reasons: readonly string[],
  ) {}

  toString(): string {
    const { requests, calls, failed, moved, left, rebound, notFresh, withoutEtcdMs, slowestMs } = this;
    const from = left.length > 0 ? ` from ${left.join(', ')}` : '';
    const etcd =
      notFresh > 0 ? `, ${notFresh} without etcd for ${withoutEtcdMs} ms (${rebound} rebound)` : '';
    const counts = `${requests} requests for ${calls} calls, ${failed} failed, ${moved} moved${from}${etcd}`;
    const reasons = this.reasons.length > 0 ? ` (${this.reasons.join('; ')})` : '';
    return `${counts}, slowest ${slowestMs} ms${reasons}`;
  }
}
