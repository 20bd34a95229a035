import { ageSeconds, type Binding, type StoredBinding } from '../../domain/binding.js';
import type { RegisteredRelay } from '../../domain/relay.js';
import type { Clock } from '../../runtime/clock.js';
import type { TtlPolicy } from '../ttl-policy.js';
import { otherRelays, type RelayInquiry } from './relay-inquiry.js';

/** Calls that relays are asked for at once. What is beyond that is believed. */
const maxInquiries = 256;
/** An offer has reached its relay so long after the call was bound, s, as far as the clocks of replicas agree. */
const offerSeconds = 5;

/**
 * What relays say of the call of a restored binding: nothing that is against it, that it has ended, or that it is on another
 * relay than the binding names.
 */
export type RestoredVerdict = 'stands' | 'ended' | 'elsewhere';

export interface RestoredBindingsDeps {
  readonly inquiry: RelayInquiry;
  readonly directory: { list(set: string): readonly RegisteredRelay[] };
  readonly ttlPolicy: TtlPolicy;
  readonly clock: Clock;
}

/**
 * The bindings that a restored etcd has from before. Their calls may have ended since, and only the relays know.
 */
export class RestoredBindings {
  readonly #deps: RestoredBindingsDeps;
  #untilRevision = 0;
  #asking = 0;
  /** Keys of calls that their relays were found to carry since. */
  readonly #carried = new Set<string>();

  constructor(deps: RestoredBindingsDeps) {
    this.#deps = deps;
  }

  /** @param revision up to which what etcd has is from before */
  begin(revision: number): void {
    this.#untilRevision = revision;
    this.#carried.clear();
  }

  /** Each of them is known to be true, or was corrected. */
  end(): void {
    this.#untilRevision = 0;
    this.#carried.clear();
  }

  /** There may be some that nobody has corrected. */
  get any(): boolean {
    return this.#untilRevision > 0;
  }

  has({ revision }: StoredBinding): boolean {
    return revision <= this.#untilRevision;
  }

  /** What became of its call is not known: the relay is there, and has not said. */
  isOpen(stored: StoredBinding): boolean {
    const { binding } = stored;
    if (!this.has(stored) || binding.state === 'released' || this.#carried.has(binding.call.key)) {
      return false;
    }
    return this.#deps.ttlPolicy.relayOf(binding) !== undefined;
  }

  /**
   * A call is ended only if its relay does not know it, and no other says that it carries it. One that was bound just now stands
   * until its relay can know it.
   */
  async judge(stored: StoredBinding): Promise<RestoredVerdict> {
    const { inquiry, directory, ttlPolicy } = this.#deps;
    const { call } = stored.binding;
    // Of most reads nothing is restored.
    const relay = this.isOpen(stored) ? ttlPolicy.relayOf(stored.binding) : undefined;
    if (!relay || this.#asking >= maxInquiries) {
      return 'stands';
    }
    this.#asking++;
    try {
      const carried = await inquiry.carries(relay, call);
      if (carried && this.any) {
        this.#carried.add(call.key);
      }
      if (carried !== false || this.#isOnItsWay(stored.binding)) {
        return 'stands';
      }
      // It may have moved since, and this replica need not have heard of that.
      const others = otherRelays(directory, stored.binding);
      const answers = await Promise.all(others.map((other) => inquiry.carries(other, call)));
      return answers.some((answer) => answer) ? 'elsewhere' : 'ended';
    } finally {
      this.#asking--;
    }
  }

  /** Another replica may have bound the call since etcd was restored, and the relay be about to hear of it. */
  #isOnItsWay(binding: Binding): boolean {
    return binding.state === 'setup' && ageSeconds(binding, this.#deps.clock.wallMs()) < offerSeconds;
  }
}
