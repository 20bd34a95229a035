import type { ListRelaysRequest, ListRelaysResponse } from '../../../proto/generated/holdfast/v1/relay.js';
import type { RelayServiceDeps } from '../deps.js';
import { goneRelayMessage, intentMessage, relayMessage } from '../replies.js';
import { parseSetFilter } from '../requests.js';

/** `ListRelays`: the relays that are registered now, those that have left, and the intents for others. */
export function listRelays({
  directory,
  gone,
}: RelayServiceDeps): (request: ListRelaysRequest) => ListRelaysResponse {
  return (request) => {
    const set = parseSetFilter(request.set);
    return {
      relays: directory.list(set).map(relayMessage),
      fresh: directory.live,
      gone: gone(set).map(goneRelayMessage),
      absent: directory.absent(set).map(({ set, id, intent }) => intentMessage(set, id, intent)),
    };
  };
}
