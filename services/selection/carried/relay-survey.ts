import type { Call } from '../../domain/call.js';
import type { RegisteredRelay } from '../../domain/relay.js';
import { type CarriedCalls, isCarried, type RelayInquiry } from './relay-inquiry.js';

export interface Carriers {
  readonly relays: readonly RegisteredRelay[];
  /** All relays have said whether they carry the call. */
  readonly isComplete: boolean;
}

/** What relays carry, for many calls: each relay is asked for its list once, and then for what that leaves open. */
export class RelaySurvey {
  readonly #inquiry: RelayInquiry;
  readonly #lists = new Map<RegisteredRelay, Promise<CarriedCalls | undefined>>();
  /** Relays that have not said whether they have taken a call over. */
  readonly #unsaid = new Set<RegisteredRelay>();

  constructor(inquiry: RelayInquiry) {
    this.#inquiry = inquiry;
  }

  /** Undefined if the relay does not say. */
  async isCarried(relay: RegisteredRelay, call: Call): Promise<boolean | undefined> {
    return isCarried(this.#inquiry, relay, call, await this.#list(relay));
  }

  /**
   * Which of these relays carry a call that its own does not know. One that does not say is not asked for further calls: a
   * silent relay would hold up all the others.
   */
  async carriersAmong(relays: readonly RegisteredRelay[], call: Call): Promise<Carriers> {
    const answers = await Promise.all(relays.map((relay) => this.#hasTakenOver(relay, call)));
    return {
      relays: relays.filter((_, i) => answers[i]),
      isComplete: !answers.includes(undefined),
    };
  }

  async #hasTakenOver(relay: RegisteredRelay, call: Call): Promise<boolean | undefined> {
    await this.#list(relay);
    const carried = this.#unsaid.has(relay) ? undefined : await this.isCarried(relay, call);
    if (carried === undefined) {
      this.#unsaid.add(relay);
    }
    return carried;
  }

  #list(relay: RegisteredRelay): Promise<CarriedCalls | undefined> {
    const list = this.#lists.get(relay) ?? this.#inquiry.list(relay);
    this.#lists.set(relay, list);
    return list;
  }
}
