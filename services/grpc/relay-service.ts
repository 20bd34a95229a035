import type { RelayServiceServer } from '../../proto/generated/holdfast/v1/relay.js';
import type { RelayServiceDeps } from './deps.js';
import { getStatus } from './methods/get-status.js';
import { listBindings } from './methods/list-bindings.js';
import { listRelays } from './methods/list-relays.js';
import { setIntent } from './methods/set-intent.js';
import { watchEvents } from './methods/watch-events.js';
import { watchRelays } from './methods/watch-relays.js';
import { unary } from './observe.js';

/** `holdfast.v1.RelayService`: the registered relays, for operators and their programs. */
export function relayService(deps: RelayServiceDeps): RelayServiceServer {
  const { observer } = deps;
  return {
    listRelays: unary('ListRelays', observer, listRelays(deps)),
    watchRelays: watchRelays(deps),
    watchEvents: watchEvents(deps),
    getStatus: unary('GetStatus', observer, getStatus(deps)),
    setIntent: unary('SetIntent', observer, setIntent(deps)),
    listBindings: listBindings(deps),
  };
}
