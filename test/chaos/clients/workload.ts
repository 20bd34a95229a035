import type { CallTags } from '../../support/ng.js';
import type { Random } from '../plan/random.js';
import type { Caller } from './caller.js';
import { Calls, type KnownCall } from './calls.js';

/** Weights of the proxies' operations. */
const mix = {
  begin: 22,
  again: 32,
  lookup: 12,
  release: 9,
  move: 7,
  contend: 5,
  late: 8,
  ng: 5,
} as const;

/** Beyond this limit, requests that fall due are dropped, so that they do not pile up during an outage. */
const maxUnderWay = 400;
const burstSize = 1000;
const usesInDialog = 0.7;
const beginsAgain = 0.3;
/** Some calls last for minutes. */
const goesOn = 0.8;

/** Loads the replicas with calls that begin, continue and end, at a steady rate. */
export class Workload {
  readonly #caller: Caller;
  readonly #random: Random;
  readonly #calls: Calls;
  readonly #perSecond: number;
  #timer: NodeJS.Timeout | undefined;
  readonly #underWay = new Set<Promise<unknown>>();
  #stopping = false;

  constructor(caller: Caller, random: Random, perSecond: number) {
    this.#caller = caller;
    this.#random = random;
    this.#calls = new Calls(random);
    this.#perSecond = perSecond;
  }

  start(): void {
    const startedAtMs = performance.now();
    let done = 0;
    this.#timer = setInterval(() => {
      const due = Math.floor(((performance.now() - startedAtMs) / 1000) * this.#perSecond);
      for (; done < due; done++) {
        if (this.#underWay.size < maxUnderWay) {
          this.#track(this.#step());
        }
      }
    }, 20);
  }

  /** Resolves when no request is under way. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#stopping = true;
    await Promise.all(this.#underWay);
  }

  /** A thousand new calls at once. */
  burst(): void {
    for (let i = 0; i < burstSize; i++) {
      this.#track(this.#select(this.#calls.begin()));
    }
  }

  #track(work: Promise<unknown>): void {
    const tracked = work.finally(() => this.#underWay.delete(tracked));
    this.#underWay.add(tracked);
  }

  #step(): Promise<unknown> {
    const live = this.#calls.live();
    const what = this.#random.weighted(mix);
    if (what === 'ng') {
      return this.#ngCall();
    }
    if (what === 'begin' || !live) {
      return this.#begin();
    }
    if (what === 'late') {
      return this.#late();
    }
    if (what === 'again') {
      return this.#use(live);
    }
    if (what === 'contend') {
      return this.#contend(live);
    }
    if (what === 'lookup') {
      return this.#lookup(live);
    }
    if (live.isNg) {
      return this.#lookup(live);
    }
    return what === 'move' ? this.#move(live) : this.#release(live);
  }

  /** A forked or retransmitted INVITE reaches several replicas at once. */
  #begin(): Promise<unknown> {
    const call = this.#calls.begin();
    return this.#random.chance(0.15) ? this.#contend(call) : this.#select(call);
  }

  #contend(call: KnownCall): Promise<unknown> {
    return Promise.all(Array.from({ length: this.#caller.replicas }, (_, at) => this.#select(call, at)));
  }

  /** An INVITE, or a branch of one. */
  async #select(call: KnownCall, first?: number): Promise<void> {
    this.#calls.hear(call, await this.#caller.select(call.callId, false, first));
  }

  /** An answer, or a re-INVITE; some proxies do not say that it is one. */
  async #use(call: KnownCall): Promise<void> {
    const inDialog = !call.isNg && this.#random.chance(usesInDialog);
    this.#calls.hear(call, await this.#caller.select(call.callId, inDialog));
  }

  async #lookup(call: KnownCall): Promise<void> {
    this.#calls.hear(call, await this.#caller.lookup(call.callId));
  }

  async #late(): Promise<void> {
    const call = this.#calls.ended();
    if (!call) {
      return this.#select(this.#calls.begin());
    }
    if (this.#random.chance(0.5)) {
      return this.#lookup(call);
    }
    // A 401, 407 or 503 ends a call that is tried again under the same Call-ID.
    return this.#random.chance(beginsAgain) ? this.#select(call) : this.#use(call);
  }

  async #move(call: KnownCall): Promise<void> {
    const generation = Math.max(1, call.generation + (this.#random.chance(0.1) ? 1 : 0));
    this.#calls.hear(call, await this.#caller.move(call.callId, generation));
    // All replicas get requests for the call at this moment.
    if (this.#random.chance(0.3)) {
      await this.#contend(call);
    }
  }

  async #release(call: KnownCall): Promise<void> {
    this.#calls.end(call);
    await this.#caller.release(call.callId);
  }

  /** One call through the gateways: each request takes a random one. */
  async #ngCall(): Promise<void> {
    const call = this.#calls.begin(true);
    const tags: CallTags = { callId: call.callId, fromTag: `f-${call.callId}`, toTag: `t-${call.callId}` };
    const { outcome } = await this.#caller.ng('offer', tags);
    if (outcome === 'ok' && this.#random.chance(0.9)) {
      await this.#pause(50, 800);
      await this.#caller.ng('answer', tags);
      do {
        await this.#pause(500, 8000);
        if (this.#random.chance(0.5)) {
          await this.#caller.ng('reoffer', tags);
        }
      } while (!this.#stopping && this.#random.chance(goesOn));
      await this.#pause(100, 3000);
    }
    await this.#caller.ng('delete', tags);
    this.#calls.end(call);
  }

  async #pause(leastMs: number, mostMs: number): Promise<void> {
    if (this.#stopping) {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, this.#random.between(leastMs, mostMs)));
  }
}
