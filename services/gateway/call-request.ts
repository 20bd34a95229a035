import type { CallParties, ControlRequest } from '../control/protocol.js';
import { type Call, parseCall } from '../domain/call.js';
import type { SetName } from './deps.js';

/** What all calls that come to one listener have in common. */
export interface CallScope {
  readonly set: SetName;
  /** Preferred while a relay in it is eligible. */
  readonly zone?: string | undefined;
  /** What a relay must have, all of it. */
  readonly labels?: Readonly<Record<string, string>> | undefined;
}

/** How long after the deadline of a request its sender is answered in any case, ms. */
export const graceMs = 50;

/** A request about one call. */
export interface CallRequest {
  readonly request: ControlRequest;
  readonly call: Call;
  readonly parties: CallParties;
  readonly scope: CallScope;
  /** Until when relays are asked, by the monotonic clock, ms. */
  readonly deadlineMs: number;
}

/** @throws HoldfastError `invalid-argument` */
export function callOf(callId: Buffer, { set }: CallScope): Call {
  return parseCall(callId, '', set);
}
