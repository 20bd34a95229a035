import type { ListRelaysRequest, ListRelaysResponse } from '../../../proto/generated/holdfast/v1/relay.js';
import type { RelayServiceDeps } from '../deps.js';
import { intentMessage, relayMessage } from '../replies.js';
import { parseSetFilter } from '../requests.js';

/** `ListRelays`: the relays that are registered now, and the intents for others. */
export function listRelays({
  directory,
}: RelayServiceDeps): (request: ListRelaysRequest) => ListRelaysResponse {
  return (request) => {
    const set = parseSetFilter(request.set);
    return {
      relays: directory.list(set).map(relayMessage),
      fresh: directory.live,
      absent: directory.absent(set).map(({ set, id, intent }) => intentMessage(set, id, intent)),
    };
  };
}
