import type { Binding } from '../../domain/binding.js';
import type { Call, CarriedCall } from '../../domain/call.js';
import type { RegisteredRelay } from '../../domain/relay.js';

/** Asks relays what they carry. Never throws: a relay that cannot be asked is no evidence of anything. */
export interface RelayInquiry {
  /** `false`: the relay does not know the call. Undefined: it did not say. */
  carries(relay: RegisteredRelay, call: Call): Promise<CarriedCall | false | undefined>;
  /**
   * The Call-IDs that it carries, as `Call.callId` has them.
   * @returns undefined if it did not say; `isComplete` false if there may be more
   */
  list(relay: RegisteredRelay): Promise<CarriedCalls | undefined>;
  /** It has not answered what it was asked last: most likely it will not answer the next question either. */
  isSilent(relay: RegisteredRelay): boolean;
}

export interface CarriedCalls {
  readonly callIds: ReadonlySet<string>;
  readonly isComplete: boolean;
}

/** By what the relay has listed, if that says it, else by asking for the call; undefined if the relay does not say. */
export async function isCarried(
  inquiry: RelayInquiry,
  relay: RegisteredRelay,
  call: Call,
  listed: CarriedCalls | undefined,
): Promise<boolean | undefined> {
  if (listed?.callIds.has(call.callId)) {
    return true;
  }
  const carried = listed?.isComplete ? false : await inquiry.carries(relay, call);
  return carried && true;
}

/** Relays that may have taken a call over from the one that it is bound to. */
export function otherRelays(
  relays: { list(set: string): readonly RegisteredRelay[] },
  { call, instance }: Binding,
): RegisteredRelay[] {
  return relays.list(call.set).filter(({ relay }) => relay.instance !== instance);
}
