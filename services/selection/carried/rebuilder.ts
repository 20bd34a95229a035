import type { StoredBinding } from '../../domain/binding.js';
import type { Call } from '../../domain/call.js';
import type { Events } from '../../domain/events.js';
import type { RegisteredRelay } from '../../domain/relay.js';
import { type Clock, sleep } from '../../runtime/clock.js';
import { each } from '../../runtime/each.js';
import type { BindingCache } from '../cache/binding-cache.js';
import type { TtlPolicy } from '../ttl-policy.js';
import { isOutage } from '../write-result.js';
import type { BindingRepair } from './binding-repair.js';
import type { Place } from './call-finder.js';
import { otherRelays, type RelayInquiry } from './relay-inquiry.js';
import { RelaySurvey } from './relay-survey.js';
import type { RestoredBindings } from './restored-bindings.js';

/** Relays register again within a lease's time; what has no relay by then is dropped. */
const timeoutMs = 30_000;
/** For so long a relay that does not say what it carries is asked again; then what is remembered counts. */
const silenceMs = 2000;
const pausePeriodMs = 250;
/** Bindings written at once; they share commits. */
const maxUnderWay = 64;

/** What becomes of a remembered binding. */
type Fate = 'reasserted' | 'ended' | 'left';

export interface RebuilderDeps {
  readonly cache: BindingCache;
  readonly store: { list(): AsyncIterable<StoredBinding> };
  readonly repair: Pick<BindingRepair, 'reassert' | 'correct' | 'find' | 'adopt'>;
  readonly restored: RestoredBindings;
  readonly ttlPolicy: TtlPolicy;
  readonly inquiry: RelayInquiry;
  readonly directory: { list(set: string): readonly RegisteredRelay[] };
  readonly events: Events;
  readonly clock: Clock;
}

/**
 * Writes again what etcd has lost: the bindings that this replica remembers and whose relay still carries the call. A call
 * that another relay carries is bound there; one that none carries stays ended. Then corrects what a restored etcd has from
 * before.
 */
export class Rebuilder {
  readonly #deps: RebuilderDeps;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  #isWanted = false;

  constructor(deps: RebuilderDeps) {
    this.#deps = deps;
  }

  /** etcd may have lost bindings. Resolves when it has them, or they are given up. */
  rebuild(): Promise<void> {
    this.#isWanted = true;
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#isWanted && !this.#stopping.signal.aborted) {
      this.#isWanted = false;
      await this.#rebuild();
    }
  }

  async #rebuild(): Promise<void> {
    const { clock, events } = this.#deps;
    const { signal } = this.#stopping;
    const startedAtMs = clock.monotonicMs();
    const counts = { reasserted: 0, ended: 0, left: 0 };
    for (let isFirst = true; ; isFirst = false) {
      const mustSay = clock.monotonicMs() - startedAtMs < silenceMs;
      const pass = await this.#reassertAll(mustSay);
      counts.reasserted += pass.reasserted;
      counts.ended = Math.max(counts.ended, pass.ended);
      counts.left = pass.left;
      const isCorrect = await this.#correctAll(isFirst);
      // What is written moves what is remembered: a pass that has written may have missed some.
      const isOver = pass.left === 0 && pass.reasserted === 0 && isCorrect;
      const isLate = clock.monotonicMs() - startedAtMs > timeoutMs;
      if (isOver || isLate || signal.aborted || this.#isWanted) {
        break;
      }
      await sleep(clock, pausePeriodMs, signal);
    }
    events.bindingsReasserted(counts);
  }

  /** What this replica remembers and etcd has lost. */
  async #reassertAll(mustSay: boolean): Promise<Record<Fate, number>> {
    const counts = { reasserted: 0, ended: 0, left: 0 };
    const survey = new RelaySurvey(this.#deps.inquiry);
    for (const survivors of this.#deps.cache.survivors()) {
      await this.#each(survivors, async (survivor) => {
        counts[await this.#decide(survivor, survey, mustSay)]++;
      });
    }
    return counts;
  }

  async #decide(stored: StoredBinding, survey: RelaySurvey, mustSay: boolean): Promise<Fate> {
    try {
      return await this.#reassert(stored, survey, mustSay);
    } catch (error) {
      if (isOutage(error)) {
        return 'left';
      }
      throw error;
    }
  }

  async #reassert(stored: StoredBinding, survey: RelaySurvey, mustSay: boolean): Promise<Fate> {
    const { ttlPolicy, repair } = this.#deps;
    const { call, state } = stored.binding;
    if (state === 'released') {
      await repair.reassert(stored);
      return 'ended';
    }
    const relay = ttlPolicy.relayOf(stored.binding);
    if (!relay) {
      return 'left';
    }
    const carried = await survey.isCarried(relay, call);
    if (carried === false) {
      return this.#relocate(stored, survey, mustSay);
    }
    return (carried || !mustSay) && (await repair.reassert(stored, carried)) ? 'reasserted' : 'left';
  }

  /** Its relay does not know the call: it has ended, or has moved unheard. */
  async #relocate({ binding }: StoredBinding, survey: RelaySurvey, mustSay: boolean): Promise<Fate> {
    const { repair, cache, directory } = this.#deps;
    const { call } = binding;
    const place = await this.#locate(call, otherRelays(directory, binding), survey);
    if (place === undefined && mustSay) {
      return 'left';
    }
    if (place === undefined || place === 'nowhere') {
      // It may have been released unheard; one that is about to reach its relay is bound anew by its next request.
      cache.forget(call);
      return 'ended';
    }
    await repair.adopt(call, place);
    return 'reasserted';
  }

  /** The relay that carries the call, if one of these does; undefined if they do not all say. */
  async #locate(call: Call, relays: readonly RegisteredRelay[], survey: RelaySurvey): Promise<Place> {
    const { relays: carriers, isComplete } = await survey.carriersAmong(relays, call);
    if (carriers.length > 1) {
      return this.#deps.repair.find(call);
    }
    return carriers[0] ?? (isComplete ? 'nowhere' : undefined);
  }

  #each(items: readonly StoredBinding[], work: (stored: StoredBinding) => Promise<void>): Promise<void> {
    return each(items, maxUnderWay, work, this.#stopping.signal);
  }

  /**
   * What a restored etcd has from before; after the first time, what relays have not said yet.
   * @returns whether all of it is known to be true now
   */
  async #correctAll(isFirst: boolean): Promise<boolean> {
    const { store, repair, restored, cache, directory, inquiry } = this.#deps;
    if (!restored.any) {
      return true;
    }
    let isAll = true;
    const survey = new RelaySurvey(inquiry);
    const correct = async (stored: StoredBinding) => {
      const locate = (call: Call) => this.#locate(call, directory.list(call.set), survey);
      isAll = (await repair.correct(stored, locate)) && isAll;
    };
    const isUnknown = (stored: StoredBinding) =>
      restored.isOpen(stored) || (restored.has(stored) && cache.isOutdated(stored.binding));
    try {
      let some: StoredBinding[] = [];
      for await (const stored of store.list()) {
        if (isFirst ? restored.has(stored) && stored.binding.state !== 'released' : isUnknown(stored)) {
          some.push(stored);
        }
        if (some.length === maxUnderWay) {
          await this.#each(some, correct);
          some = [];
        }
      }
      await this.#each(some, correct);
    } catch (error) {
      if (isOutage(error)) {
        return false;
      }
      throw error;
    }
    if (isAll && !this.#stopping.signal.aborted) {
      restored.end();
    }
    return isAll;
  }
}
