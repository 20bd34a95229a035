import type { CallParties, ControlProtocol, ControlRequest } from '../control/protocol.js';
import { bytesOf, type Call } from '../domain/call.js';
import type { Relay } from '../domain/relay.js';

/**
 * What this replica remembers of calls besides their bindings, where the protocol needs it: by which names a relay knows a call,
 * and what it was told of the call's media. All of it may be forgotten; then a relay is not asked, and not told.
 */
export interface CallMemory {
  readonly protocol: ControlProtocol;
  /**
   * Requests that ask a relay for the call, by each name that it may have there; none if no name is known.
   * @param parties names in a request at hand
   */
  queries(call: Call, parties?: CallParties): readonly ControlRequest[];
  /** A relay that knows the call by none of the names in these queries does not carry it: it has no others there. */
  isNamedBy(call: Call, parties: CallParties): boolean;
  /** A request names the call, which may be unknown here. */
  heard(call: Call, parties: CallParties): void;
  /** The relay has accepted the request. */
  accepted(call: Call, request: ControlRequest, relay: Relay): void;
  /** The proxy takes what this delete names for ended. */
  ended(call: Call, request: ControlRequest): void;
  /** Requests that set the call up on this relay as it was on another one; none if this one was told of the call. */
  replay(call: Call, relay: Relay): readonly ControlRequest[];
}

/** For a protocol whose relays know a call by its Call-ID, and whose offers tell all of it. */
export function noMemory(protocol: ControlProtocol): CallMemory {
  return {
    protocol,
    queries: (call, parties) => [protocol.queryRequest({ callId: parties?.callId ?? bytesOf(call) })],
    isNamedBy: () => true,
    heard: () => {},
    accepted: () => {},
    ended: () => {},
    replay: () => [],
  };
}
