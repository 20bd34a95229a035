import {
  type SetIntentRequest,
  type SetIntentResponse,
  RelayState as WireState,
} from '../../../proto/generated/holdfast/v1/relay.js';
import { HoldfastError, invalidArgument } from '../../domain/error.js';
import { hasEffect, type Intent, maxWeight, type RelayState, relayKey } from '../../domain/relay.js';
import { actorOf } from '../actor.js';
import type { Caller } from '../certificate-names.js';
import type { RelayServiceDeps } from '../deps.js';
import { intentMessage } from '../replies.js';
import { maxTextLength, parseRelayName, parseText } from '../requests.js';

/** `SetIntent`: drains, disables or reactivates a relay, or overrides its weight. */
export function setIntent({
  directory,
  intents,
  clock,
  observer: { log },
}: RelayServiceDeps): (request: SetIntentRequest, caller: Caller) => Promise<SetIntentResponse> {
  return async (request, caller) => {
    const { set, id } = parseRelayName(request);
    const nowMs = clock.wallMs();
    const change = parse(request, actorOf(request.actor, caller), nowMs);
    const intent = await intents.update(set, id, (before) => {
      if (!before && !request.absentOk && !directory.get(set, id)) {
        throw unknownRelay(set, id);
      }
      const after = change(before);
      // Of a relay that is there it stays: it says who took the relay back.
      return hasEffect(after) || directory.get(set, id) ? after : undefined;
    });
    // What holds without an intent.
    const now = intent ?? { state: 'active', reason: '', actor: '', atMs: nowMs };
    log.info({ relay: id, set, ...now }, 'intent set');
    return { registered: directory.get(set, id) !== undefined, intent: intentMessage(set, id, now) };
  };
}

const states = new Map<WireState, RelayState | undefined>([
  [WireState.UNSPECIFIED, undefined],
  [WireState.ACTIVE, 'active'],
  [WireState.DRAINING, 'draining'],
  [WireState.DISABLED, 'disabled'],
]);

/** What the request makes of an intent. */
function parse(
  request: SetIntentRequest,
  actor: string,
  nowMs: number,
): (before: Intent | undefined) => Intent {
  if (!states.has(request.state)) {
    throw invalidArgument('state', `${request.state}`, 'UNSPECIFIED, ACTIVE, DRAINING, DISABLED');
  }
  const state = states.get(request.state);
  const { weight, ownWeight } = request;
  if (weight !== undefined && weight > maxWeight) {
    throw invalidArgument('weight', `${weight}`, `0-${maxWeight}`);
  }
  if (weight !== undefined && ownWeight) {
    throw invalidArgument('own_weight', 'is set together with weight', 'one of the two');
  }
  const reason = parseText('reason', request.reason, maxTextLength);
  return (before) => ({
    state: state ?? before?.state ?? 'active',
    weight: ownWeight ? undefined : (weight ?? before?.weight),
    reason: state === undefined && reason === '' ? (before?.reason ?? '') : reason,
    actor,
    atMs: nowMs,
  });
}

function unknownRelay(set: string, id: string): HoldfastError {
  const message = `relay ${relayKey(set, id)} is not registered, and has no intent; nothing was written`;
  return new HoldfastError('unknown-relay', message, { metadata: { set, relay: id } });
}
