import type { ListRelaysRequest, ListRelaysResponse } from '../../../proto/generated/holdfast/v1/relay.js';
import type { RelayServiceDeps } from '../deps.js';
import { relayMessage } from '../replies.js';
import { parseSetFilter } from '../requests.js';

/** `ListRelays`: the relays that are registered now. */
export function listRelays({
  directory,
}: RelayServiceDeps): (request: ListRelaysRequest) => ListRelaysResponse {
  return ({ set }) => ({
    relays: directory.list(parseSetFilter(set)).map(relayMessage),
    fresh: directory.live,
  });
}
