import {
  type SetIntentRequest,
  type SetIntentResponse,
  RelayState as WireState,
} from '../../../proto/generated/holdfast/v1/relay.js';
import { invalidArgument } from '../../domain/error.js';
import { type Intent, maxWeight, type RelayState } from '../../domain/relay.js';
import type { RelayServiceDeps } from '../deps.js';
import { maxTextLength, parseRelayName, parseText } from '../requests.js';

const maxActorLength = 64;

/** `SetIntent`: drains, disables or reactivates a relay, or overrides its weight. */
export function setIntent({
  directory,
  intents,
  clock,
  observer: { log },
}: RelayServiceDeps): (request: SetIntentRequest) => Promise<SetIntentResponse> {
  return async (request) => {
    const { set, id } = parseRelayName(request);
    const intent = parse(request, clock.wallMs());
    await intents.set(set, id, intent);
    const { state = 'active', weight, reason, actor } = intent ?? {};
    log.info({ relay: id, set, state, weight, reason, actor }, 'intent set');
    return { registered: directory.get(set, id) !== undefined };
  };
}

const states = new Map<WireState, RelayState>([
  [WireState.ACTIVE, 'active'],
  [WireState.DRAINING, 'draining'],
  [WireState.DISABLED, 'disabled'],
]);

/** Undefined if the request asks for what holds without an intent. */
function parse(request: SetIntentRequest, nowMs: number): Intent | undefined {
  const state = states.get(request.state);
  if (!state) {
    throw invalidArgument('state', `${request.state}`, 'ACTIVE, DRAINING, DISABLED');
  }
  const { weight } = request;
  if (weight !== undefined && weight > maxWeight) {
    throw invalidArgument('weight', `${weight}`, `0-${maxWeight}`);
  }
  const reason = parseText('reason', request.reason, maxTextLength);
  const actor = parseText('actor', request.actor, maxActorLength);
  if (state === 'active' && weight === undefined && reason === '') {
    return undefined;
  }
  return { state, weight, reason, actor, atMs: nowMs };
}
