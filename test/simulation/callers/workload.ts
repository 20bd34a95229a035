import type { NgDictionary } from '../../../services/control/ng/message.js';
import type { Random } from '../../chaos/plan/random.js';
import type { LiveCall, Operation } from '../check/history.js';
import type { Replica } from '../world/replica.js';
import type { World } from '../world/world.js';
import { newCall, type SipCall } from './call.js';
import { type Outcome, SipProxy } from './proxy.js';

const retryPauseMs = { least: 50, most: 400 };
const maxTries = 5;
/** Share of calls that begin again under their Call-ID (401, 407, 422, 503, hunting). */
const beginsAgain = 0.4;

export interface WorkloadOptions {
  readonly callsPerSecond: number;
  /** No call begins later, and none goes on. */
  readonly untilMs: number;
}

/** SIP calls through all replicas and both fronts: begun, answered, re-INVITEd, moved, forked, ended, begun again. */
export class Workload {
  readonly operations: Operation[] = [];
  readonly #world: World;
  readonly #random: Random;
  readonly #options: WorkloadOptions;
  readonly #proxies: SipProxy[] = [];
  readonly #calls: SipCall[] = [];
  #requests = 0;

  constructor(world: World, options: WorkloadOptions) {
    this.#world = world;
    this.#random = world.fork();
    this.#options = options;
  }

  get proxies(): readonly SipProxy[] {
    return this.#proxies;
  }

  /** Calls that are in progress, and where their media are. */
  get live(): LiveCall[] {
    return this.#calls.flatMap(({ callId, media, isAnswered, isEnded }) =>
      isAnswered && !isEnded && media !== undefined ? [{ callId, media }] : [],
    );
  }

  start(): void {
    for (const process of this.#world.proxies) {
      process.enter(() => {
        const proxy = new SipProxy(this.#world, process, (operation) => this.operations.push(operation));
        this.#proxies.push(proxy);
        this.#beginCalls(proxy);
      });
    }
  }

  #beginCalls(proxy: SipProxy): void {
    const { callsPerSecond, untilMs } = this.#options;
    const meanMs = (1000 * this.#world.proxies.length) / callsPerSecond;
    proxy.process.after(meanMs * 2 * this.#random.next(), () => {
      if (this.#isOver) {
        return;
      }
      const call = newCall(`c${this.#calls.length + 1}@sim`);
      this.#calls.push(call);
      void (this.#random.chance(0.5) ? this.#ngCall(proxy, call) : this.#grpcCall(proxy, call));
      this.#beginCalls(proxy);
    });
    void untilMs;
  }

  get #isOver(): boolean {
    return this.#world.scheduler.nowMs >= this.#options.untilMs;
  }

  /** A few seconds, or up to half a minute; many calls last until the end. */
  get #uses(): number {
    return this.#random.chance(0.35) ? Number.POSITIVE_INFINITY : this.#random.between(1, 6);
  }

  #replica(): Replica {
    return this.#random.pick(this.#world.replicas);
  }

  /** The same request, to one replica after the other, until it is known what has become of it. */
  async #surely(proxy: SipProxy, ask: (replica: Replica) => Promise<Outcome>): Promise<Outcome> {
    for (let tries = 1; ; tries++) {
      const outcome = await ask(this.#replica());
      if (outcome.outcome !== 'unknown' || tries === maxTries || this.#isOver) {
        return outcome;
      }
      await proxy.pause(this.#random.between(retryPauseMs.least, retryPauseMs.most));
    }
  }

  #request(): string {
    return `q${++this.#requests}`;
  }

  async #select(proxy: SipProxy, call: SipCall, inDialog: boolean): Promise<Outcome> {
    const requestId = this.#request();
    const outcome = await this.#surely(proxy, (replica) =>
      proxy.select(replica, call.callId, requestId, inDialog),
    );
    this.#hear(call, outcome);
    return outcome;
  }

  #hear(call: SipCall, { answer }: Outcome): void {
    if (answer?.freshness === 'fresh') {
      call.generation = answer.generation;
    }
  }

  async #grpcCall(proxy: SipProxy, call: SipCall): Promise<void> {
    for (;;) {
      if (!(await this.#begin(proxy, call))) {
        return this.#end(proxy, call);
      }
      const uses = this.#uses;
      for (let use = 0; use < uses && !this.#isOver; use++) {
        await proxy.pause(this.#random.between(200, 8000));
        if (!this.#isOver) {
          await this.#use(proxy, call);
        }
      }
      if (this.#isOver) {
        return;
      }
      await this.#end(proxy, call);
      // 401, 407 and 503 end a call that is tried again under the same Call-ID.
      if (!this.#random.chance(beginsAgain)) {
        return;
      }
      await proxy.pause(this.#random.between(100, 4000));
      Object.assign(call, { isAnswered: false, isEnded: false, media: undefined });
    }
  }

  /** INVITE, 200 OK. @returns false if it could not be set up */
  async #begin(proxy: SipProxy, call: SipCall): Promise<boolean> {
    const selected = await this.#select(proxy, call, false);
    if (selected.outcome !== 'ok' || !(await this.#offer(proxy, call, selected))) {
      return false;
    }
    await proxy.pause(this.#random.between(100, 3000));
    return this.#answer(proxy, call, await this.#select(proxy, call, true));
  }

  async #offer(
    proxy: SipProxy,
    call: SipCall,
    { controlUrl }: Outcome,
    more: NgDictionary = {},
  ): Promise<boolean> {
    if (!controlUrl) {
      return false;
    }
    const body = { command: 'offer', 'call-id': call.callId, 'from-tag': call.fromTag, ...more };
    const offered = await proxy.relay(controlUrl, body);
    if (offered.outcome === 'ok') {
      call.media = offered.media;
    }
    return offered.outcome === 'ok';
  }

  async #answer(proxy: SipProxy, call: SipCall, { controlUrl }: Outcome): Promise<boolean> {
    const { callId, fromTag, toTag } = call;
    const reply =
      controlUrl &&
      (await proxy.relay(controlUrl, {
        command: 'answer',
        'call-id': callId,
        'from-tag': fromTag,
        'to-tag': toTag,
      }));
    call.isAnswered ||= reply ? reply.outcome === 'ok' : false;
    return reply ? reply.outcome === 'ok' : false;
  }

  async #use(proxy: SipProxy, call: SipCall): Promise<void> {
    const lot = this.#random.next();
    if (lot < 0.2) {
      this.#hear(call, await this.#surely(proxy, (replica) => proxy.lookup(replica, call.callId)));
    } else if (lot < 0.28) {
      await this.#move(proxy, call);
    } else if (lot < 0.4) {
      const requestId = this.#request();
      await Promise.all(
        this.#world.replicas.map((replica) => proxy.select(replica, call.callId, requestId, true)),
      );
    } else {
      await this.#reinvite(proxy, call);
    }
  }

  /** The session goes to wherever Holdfast says. */
  async #reinvite(proxy: SipProxy, call: SipCall): Promise<void> {
    const selected = await this.#select(proxy, call, true);
    if (selected.outcome === 'ok' && (await this.#offer(proxy, call, selected, { 'to-tag': call.toTag }))) {
      await this.#answer(proxy, call, selected);
    }
  }

  async #move(proxy: SipProxy, call: SipCall): Promise<void> {
    const before = await this.#surely(proxy, (replica) => proxy.lookup(replica, call.callId));
    if (before.answer?.freshness !== 'fresh') {
      return;
    }
    const { generation } = before.answer;
    const requestId = this.#request();
    const moved = await this.#surely(proxy, (replica) =>
      proxy.move(replica, call.callId, requestId, generation),
    );
    this.#hear(call, moved);
    if (moved.outcome === 'ok' && (await this.#offer(proxy, call, moved, { 'to-tag': call.toTag }))) {
      await this.#answer(proxy, call, moved);
      if (before.controlUrl && before.controlUrl !== moved.controlUrl) {
        await proxy.relay(before.controlUrl, { command: 'delete', 'call-id': call.callId });
      }
    } else {
      // Whoever moves a call and cannot finish knows no more where it is.
      call.media = undefined;
    }
  }

  async #end(proxy: SipProxy, call: SipCall): Promise<void> {
    call.isEnded = true;
    const found = await this.#surely(proxy, (replica) => proxy.lookup(replica, call.callId));
    if (found.controlUrl) {
      await proxy.relay(found.controlUrl, { command: 'delete', 'call-id': call.callId });
    }
    await this.#surely(proxy, (replica) => proxy.release(replica, call.callId));
  }

  /** Through the gateways, as an unmodified proxy does it. */
  async #ngCall(proxy: SipProxy, call: SipCall): Promise<void> {
    const { callId, fromTag, toTag } = call;
    const tags = { 'call-id': callId, 'from-tag': fromTag };
    const both = { ...tags, 'to-tag': toTag };
    const asked = { callId, inDialog: true };
    const offer = async (body: NgDictionary, inDialog: boolean) => {
      const outcome = await this.#surely(proxy, (replica) =>
        proxy.ng(
          replica,
          { command: 'offer', ...body },
          { method: inDialog ? 'reoffer' : 'offer', callId, inDialog },
        ),
      );
      if (outcome.outcome === 'ok') {
        call.media = outcome.media;
      }
      return outcome.outcome === 'ok';
    };
    const answer = async () => {
      const outcome = await this.#surely(proxy, (replica) =>
        proxy.ng(replica, { command: 'answer', ...both }, { method: 'answer', ...asked }),
      );
      call.isAnswered ||= outcome.outcome === 'ok';
      return outcome.outcome === 'ok';
    };
    for (;;) {
      let isUp = await offer(tags, false);
      await proxy.pause(this.#random.between(100, 3000));
      isUp = isUp && (await answer());
      const uses = isUp ? this.#uses : 0;
      for (let use = 0; use < uses && !this.#isOver; use++) {
        await proxy.pause(this.#random.between(200, 8000));
        if (this.#isOver) {
          return;
        }
        const lot = this.#random.next();
        if (lot < 0.3) {
          await this.#surely(proxy, (replica) =>
            proxy.ng(replica, { command: 'query', 'call-id': callId }, { method: 'query', ...asked }),
          );
        } else if (await offer(lot < 0.45 ? { ...tags, 'via-branch': `b${use}` } : both, true)) {
          await answer();
        }
      }
      if (this.#isOver) {
        return;
      }
      call.isEnded = true;
      await this.#surely(proxy, (replica) =>
        proxy.ng(replica, { command: 'delete', ...both }, { method: 'delete', ...asked }),
      );
      if (!this.#random.chance(beginsAgain)) {
        return;
      }
      await proxy.pause(this.#random.between(50, 2500));
      Object.assign(call, { isAnswered: false, isEnded: false, media: undefined });
    }
  }
}
