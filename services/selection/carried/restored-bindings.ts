import type { StoredBinding } from '../../domain/binding.js';
import type { TtlPolicy } from '../ttl-policy.js';
import type { RelayInquiry } from './relay-inquiry.js';

/** Calls that relays are asked for at once. What is beyond that is believed. */
const maxInquiries = 256;

export interface RestoredBindingsDeps {
  readonly inquiry: RelayInquiry;
  readonly ttlPolicy: TtlPolicy;
}

/**
 * The bindings that a restored etcd has from before. Their calls may have ended since, and only the relays know.
 */
export class RestoredBindings {
  readonly #deps: RestoredBindingsDeps;
  #untilRevision = 0;
  #asking = 0;

  constructor(deps: RestoredBindingsDeps) {
    this.#deps = deps;
  }

  /** @param revision up to which what etcd has is from before */
  begin(revision: number): void {
    this.#untilRevision = revision;
  }

  /** Each of them is known to be true, or was corrected. */
  end(): void {
    this.#untilRevision = 0;
  }

  /** There may be some that nobody has corrected. */
  get any(): boolean {
    return this.#untilRevision > 0;
  }

  has({ revision }: StoredBinding): boolean {
    return revision <= this.#untilRevision;
  }

  /** The relay of the binding says that it does not know the call. */
  async isEnded(stored: StoredBinding): Promise<boolean> {
    const { inquiry, ttlPolicy } = this.#deps;
    const { binding } = stored;
    if (!this.has(stored) || binding.state === 'released' || this.#asking >= maxInquiries) {
      return false;
    }
    const relay = ttlPolicy.relayOf(binding);
    this.#asking++;
    try {
      return relay !== undefined && (await inquiry.carries(relay, binding.call)) === false;
    } finally {
      this.#asking--;
    }
  }
}
