import type { Call } from '../../domain/call.js';
import type { Events } from '../../domain/events.js';
import type { RegisteredRelay } from '../../domain/relay.js';
import type { Clock } from '../../runtime/clock.js';
import type { RelayInquiry } from './relay-inquiry.js';

/** Calls looked for at once. */
const maxSearches = 64;
/** Calls looked for per second; twice as many in a burst. */
const searchesPerSecond = 200;
/** A call that no relay carried is not looked for again so soon. */
const missMs = 1000;
const maxMisses = 10_000;

export interface CallFinderDeps {
  readonly inquiry: RelayInquiry;
  readonly relays: { list(set?: string): readonly RegisteredRelay[] };
  readonly events: Events;
  readonly clock: Clock;
}

/** The relay that carries a call, or that none does; undefined if that is not known. */
export type Place = RegisteredRelay | 'nowhere' | undefined;

/** Relay ids. */
export interface PlaceHints {
  /** Where the call is, if it is there: others may have sessions of it left. */
  readonly likeliest?: string | undefined;
  /** Where it was to be set up: it may be elsewhere, where media flow. */
  readonly promised?: string | undefined;
}

interface Miss {
  /** By the monotonic clock. */
  readonly atMs: number;
  readonly place: 'nowhere' | undefined;
}

/** Finds the relay that carries a call which the registry does not know, by asking all relays of its set. */
export class CallFinder {
  readonly #deps: CallFinderDeps;
  readonly #searches = new Map<string, Promise<Place>>();
  /** Calls that were looked for in vain; oldest first. */
  readonly #misses = new Map<string, Miss>();
  #tokens = 2 * searchesPerSecond;
  #tokensAtMs: number;
  /** Since the start, for metrics. */
  readonly counters = { searches: 0, found: 0, refused: 0 };

  constructor(deps: CallFinderDeps) {
    this.#deps = deps;
    this.#tokensAtMs = deps.clock.monotonicMs();
  }

  /**
   * @returns undefined if no relay says that it carries the call, but some have not answered, or too many calls are looked for
   */
  find(call: Call, hints: PlaceHints = {}): Promise<Place> {
    const underWay = this.#searches.get(call.key);
    if (underWay) {
      return underWay;
    }
    const miss = this.#misses.get(call.key);
    // Who knows of a likely relay has more to go by than whoever has asked in vain.
    if (miss && hints.likeliest === undefined && this.#deps.clock.monotonicMs() - miss.atMs < missMs) {
      return Promise.resolve(miss.place);
    }
    if (this.#searches.size >= maxSearches || !this.#takeToken()) {
      this.counters.refused++;
      return Promise.resolve(undefined);
    }
    this.counters.searches++;
    const search = this.#search(call, hints).finally(() => this.#searches.delete(call.key));
    this.#searches.set(call.key, search);
    return search;
  }

  /** Whether this relay carries the call; undefined if it does not say, or too many calls are looked for. */
  async isOn(relay: RegisteredRelay, call: Call): Promise<boolean | undefined> {
    if (!this.#takeToken()) {
      this.counters.refused++;
      return undefined;
    }
    const carried = await this.#deps.inquiry.carries(relay, call);
    return carried && true;
  }

  async #search(call: Call, { likeliest, promised }: PlaceHints): Promise<Place> {
    const { inquiry, relays, events } = this.#deps;
    const candidates = relays.list(call.anySet ? undefined : call.set);
    const answers = await Promise.all(
      candidates.map(async (relay) => ({ relay, carried: await inquiry.carries(relay, call) })),
    );
    const carriers = answers.flatMap(({ relay, carried }) => (carried ? [{ relay, ...carried }] : []));
    const isPromised = ({ relay }: (typeof carriers)[number]) => relay.relay.id === promised;
    carriers.sort(
      (one, other) => other.packets - one.packets || Number(isPromised(other)) - Number(isPromised(one)),
    );
    const best = carriers.find(({ relay }) => relay.relay.id === likeliest) ?? carriers[0];
    if (!best) {
      const place = answers.every(({ carried }) => carried === false) ? 'nowhere' : undefined;
      this.#miss(call.key, place);
      return place;
    }
    if (carriers.length > 1) {
      events.callOnTwoRelays({
        callId: call.callId,
        relays: carriers.map(({ relay }) => relay.relay.id),
        kept: best.relay.relay.id,
      });
    }
    this.counters.found++;
    return best.relay;
  }

  #miss(key: string, place: Miss['place']): void {
    this.#misses.delete(key);
    this.#misses.set(key, { atMs: this.#deps.clock.monotonicMs(), place });
    if (this.#misses.size > maxMisses) {
      const [oldest] = this.#misses.keys();
      this.#misses.delete(oldest as string);
    }
  }

  #takeToken(): boolean {
    const nowMs = this.#deps.clock.monotonicMs();
    const earned = ((nowMs - this.#tokensAtMs) / 1000) * searchesPerSecond;
    this.#tokens = Math.min(2 * searchesPerSecond, this.#tokens + earned);
    this.#tokensAtMs = nowMs;
    if (this.#tokens < 1) {
      return false;
    }
    this.#tokens--;
    return true;
  }
}
