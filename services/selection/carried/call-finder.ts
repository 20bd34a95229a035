import type { Call, CarriedCall } from '../../domain/call.js';
import type { Events } from '../../domain/events.js';
import type { RegisteredRelay } from '../../domain/relay.js';
import { type Clock, inTime } from '../../runtime/clock.js';
import { TokenBucket } from '../../runtime/token-bucket.js';
import type { CarriedCalls, RelayInquiry } from './relay-inquiry.js';

/** Calls looked for at once. */
const maxSearches = 1000;
/** Calls for each of which all relays are asked, per second; twice as many in a burst. Those beyond it share the lists of relays. */
const searchesPerSecond = 200;
/** Calls for each of which one relay is asked, per second; twice as many in a burst. */
const inquiriesPerSecond = 1000;
/** A list that comes later is not waited for, ms: a proxy may be waiting. */
const listTimeoutMs = 300;
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
  /** Only a relay that has been told of both parties' media counts: others may only have been offered the call. */
  readonly answered?: boolean;
}

interface Miss {
  /** By the monotonic clock. */
  readonly atMs: number;
  readonly place: 'nowhere' | undefined;
}

/** What relays say of a call. */
interface Answers {
  readonly carriers: readonly Carrier[];
  /** All have said whether they carry it. */
  readonly isComplete: boolean;
}

type Lists = ReadonlyMap<RegisteredRelay, CarriedCalls | undefined>;

interface Carrier extends CarriedCall {
  readonly relay: RegisteredRelay;
}

/** Finds the relay that carries a call which the registry does not know, by asking all relays of its set. */
export class CallFinder {
  readonly #deps: CallFinderDeps;
  readonly #searches = new Map<string, Promise<Answers>>();
  /** Calls that were looked for in vain; oldest first. */
  readonly #misses = new Map<string, Miss>();
  #listing: Promise<unknown> = Promise.resolve();
  #nextLists: Promise<Lists> | undefined;
  readonly #searchBudget: TokenBucket;
  readonly #inquiryBudget: TokenBucket;
  /** Since the start, for metrics. */
  readonly counters = { searches: 0, found: 0, refused: 0 };

  constructor(deps: CallFinderDeps) {
    this.#deps = deps;
    this.#searchBudget = new TokenBucket(deps.clock, searchesPerSecond);
    this.#inquiryBudget = new TokenBucket(deps.clock, inquiriesPerSecond);
  }

  /**
   * @returns undefined if no relay says that it carries the call, but some have not answered, or too many calls are looked for
   */
  async find(call: Call, hints: PlaceHints = {}): Promise<Place> {
    const miss = this.#searches.has(call.key) ? undefined : this.#misses.get(call.key);
    // Who knows of a likely relay has more to go by than whoever has asked in vain.
    if (miss && hints.likeliest === undefined && this.#deps.clock.monotonicMs() - miss.atMs < missMs) {
      return miss.place;
    }
    const search = this.#searches.get(call.key) ?? this.#begin(call);
    if (!search) {
      this.counters.refused++;
      return undefined;
    }
    const { carriers, isComplete } = await search;
    const counting = hints.answered ? carriers.filter(({ isAnswered }) => isAnswered) : carriers;
    const [best, ...others] = ranked(counting, hints);
    if (!best) {
      const place = isComplete && carriers.length === 0 ? 'nowhere' : undefined;
      this.#miss(call.key, place);
      return place;
    }
    if (others.length > 0) {
      this.#deps.events.callOnTwoRelays({
        callId: call.callId,
        relays: [best, ...others].map(({ relay }) => relay.relay.id),
        kept: best.relay.relay.id,
      });
    }
    this.counters.found++;
    return best.relay;
  }

  /** Undefined if too many are under way. */
  #begin(call: Call): Promise<Answers> | undefined {
    if (this.#searches.size >= maxSearches) {
      return undefined;
    }
    this.counters.searches++;
    const search = this.#search(call).finally(() => this.#searches.delete(call.key));
    this.#searches.set(call.key, search);
    return search;
  }

  /** What this relay has of the call; undefined if it does not say, or too many calls are looked for. */
  async on(relay: RegisteredRelay, call: Call): Promise<CarriedCall | false | undefined> {
    if (!this.#inquiryBudget.take()) {
      this.counters.refused++;
      return undefined;
    }
    return this.#deps.inquiry.carries(relay, call);
  }

  /** It is not worth asking, where a wrong guess costs less than to wait for it. */
  isSilent(relay: RegisteredRelay): boolean {
    return this.#deps.inquiry.isSilent(relay);
  }

  async #search(call: Call): Promise<Answers> {
    const candidates = this.#deps.relays.list(call.anySet ? undefined : call.set);
    const lists = this.#searchBudget.take() ? undefined : await this.#lists();
    const answers = await Promise.all(candidates.map((relay) => this.#carries(relay, call, lists)));
    const carriers = answers.filter((answer) => typeof answer === 'object');
    return { carriers, isComplete: !answers.includes(undefined) };
  }

  async #carries(
    relay: RegisteredRelay,
    call: Call,
    lists: Lists | undefined,
  ): Promise<Carrier | false | undefined> {
    const listed = lists?.get(relay);
    if (lists && !listed?.callIds.has(call.callId)) {
      return listed?.isComplete ? false : undefined;
    }
    const carried = await this.#deps.inquiry.carries(relay, call);
    return carried && { ...carried, relay };
  }

  /** What each relay carries, asked for from now on: what it said before may be outdated. */
  #lists(): Promise<Lists> {
    if (!this.#nextLists) {
      this.#nextLists = this.#listing.then(() => {
        this.#nextLists = undefined;
        return this.#list();
      });
      this.#listing = this.#nextLists;
    }
    return this.#nextLists;
  }

  async #list(): Promise<Lists> {
    const { inquiry, relays, clock } = this.#deps;
    const lists = relays
      .list()
      .map(
        async (relay) => [relay, await inTime(clock, listTimeoutMs, inquiry.list(relay), undefined)] as const,
      );
    return new Map(await Promise.all(lists));
  }

  #miss(key: string, place: Miss['place']): void {
    this.#misses.delete(key);
    this.#misses.set(key, { atMs: this.#deps.clock.monotonicMs(), place });
    if (this.#misses.size > maxMisses) {
      const [oldest] = this.#misses.keys();
      this.#misses.delete(oldest as string);
    }
  }
}

/** The likeliest first. */
function ranked(carriers: readonly Carrier[], { likeliest, promised }: PlaceHints): Carrier[] {
  const ranks = ({ relay, packets, isAnswered }: Carrier) => [
    Number(relay.relay.id === likeliest),
    packets,
    Number(isAnswered),
    Number(relay.relay.id === promised),
  ];
  return [...carriers].sort((one, other) => compare(ranks(other), ranks(one)));
}

/** By the first number that differs. */
function compare(one: readonly number[], other: readonly number[]): number {
  const at = one.findIndex((number, i) => number !== other[i]);
  return at < 0 ? 0 : (one[at] ?? 0) - (other[at] ?? 0);
}
