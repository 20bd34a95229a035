import type { ControlRequest } from '../control/protocol.js';
import { HoldfastError } from '../domain/error.js';
import { quote } from '../domain/name.js';
import type { RegisteredRelay } from '../domain/relay.js';
import type { Answer } from '../selection/requests.js';
import { type CallScope, callOf } from './call-request.js';
import type { CallRouter } from './deps.js';

/** Calls that one request may join with its own. */
export const maxJoinedCalls = 64;

type Lookup = Pick<CallRouter, 'lookup'>;

/** Where another call is, as far as it is known now: requests that name one are served without it too. */
export async function otherCall(
  router: Lookup,
  callId: Buffer,
  scope: CallScope,
): Promise<Answer | undefined> {
  try {
    return await router.lookup(callOf(callId, scope));
  } catch (error) {
    if (error instanceof HoldfastError) {
      return undefined;
    }
    throw error;
  }
}

/** Why the relay of a call cannot join it with the others that a request names, as far as that is known here. */
export async function whyApart(
  router: Lookup,
  { joinedCallIds }: ControlRequest,
  scope: CallScope,
  { relay: { id, controlUrl } }: RegisteredRelay,
): Promise<string | undefined> {
  if (joinedCallIds.length > maxJoinedCalls) {
    return `${joinedCallIds.length} calls are named besides its own, of at most ${maxJoinedCalls}`;
  }
  const others = await Promise.all(joinedCallIds.map((callId) => otherCall(router, callId, scope)));
  const other = others.find((each) => each?.relay && each.relay.relay.controlUrl !== controlUrl);
  return (
    other &&
    `call ${quote(other.binding.call.callId)} is on relay ${other.binding.relayId}, and this one on relay ${id}. ` +
      'A relay joins only calls of its own: name this call as to-call-id in the offer that begins the other, or move one'
  );
}
