import { type Call, type CarriedCall, parseCall } from '../../services/domain/call.js';
import type { RegisteredRelay } from '../../services/domain/relay.js';
import type { CarriedCalls, RelayInquiry } from '../../services/selection/carried/relay-inquiry.js';

/** Relays that carry what a test says, and answer when it lets them. */
export class FakeInquiry implements RelayInquiry {
  readonly #carried = new Map<string, Map<string, CarriedCall>>();
  /** Relay ids that do not answer. */
  readonly silent = new Set<string>();
  /** Whether lists are whole. */
  isComplete = true;
  /** How often relays were asked for a call. */
  asked = 0;
  /** How often a relay was asked for its list. */
  listed = 0;

  /** @param packets so far */
  carry(relayId: string, callId: string | Call, packets = 0, isAnswered = true): void {
    const calls = this.#carried.get(relayId) ?? new Map<string, CarriedCall>();
    this.#carried.set(relayId, calls);
    calls.set(typeof callId === 'string' ? parseCall(callId).callId : callId.callId, { packets, isAnswered });
  }

  end(relayId: string, callId: string): void {
    this.#carried.get(relayId)?.delete(callId);
  }

  async carries({ relay }: RegisteredRelay, call: Call): Promise<CarriedCall | false | undefined> {
    this.asked++;
    await Promise.resolve();
    return this.silent.has(relay.id) ? undefined : (this.#carried.get(relay.id)?.get(call.callId) ?? false);
  }

  isSilent({ relay }: RegisteredRelay): boolean {
    return this.silent.has(relay.id);
  }

  async list({ relay }: RegisteredRelay): Promise<CarriedCalls | undefined> {
    this.listed++;
    await Promise.resolve();
    if (this.silent.has(relay.id)) {
      return undefined;
    }
    const callIds = new Set(this.#carried.get(relay.id)?.keys());
    return { callIds, isComplete: this.isComplete };
  }
}
