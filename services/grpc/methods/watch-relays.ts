import type { handleServerStreamingCall } from '@grpc/grpc-js';
import type { WatchRelaysRequest, WatchRelaysResponse } from '../../../proto/generated/holdfast/v1/relay.js';
import type { RelayServiceDeps } from '../deps.js';
import { observe } from '../observe.js';
import { RelayEventQueue } from '../relay-event-queue.js';
import { parseSetFilter } from '../requests.js';
import { statusOf } from '../status.js';
import { StreamWriter } from '../stream-writer.js';

/** `WatchRelays`: a snapshot of the registered relays, then their changes for as long as the client listens. */
export function watchRelays({
  directory,
  observer,
}: RelayServiceDeps): handleServerStreamingCall<WatchRelaysRequest, WatchRelaysResponse> {
  return async (stream) => {
    const outcome = await observe('WatchRelays', observer, () => ({
      set: parseSetFilter(stream.request.set),
    }));
    if ('failure' in outcome) {
      return void stream.emit('error', statusOf(outcome.failure));
    }
    const { set } = outcome.value;
    const writer = new StreamWriter<WatchRelaysResponse>(stream);
    const queue = new RelayEventQueue(directory.list(set));
    let sending = false;
    const send = async () => {
      if (sending) {
        return;
      }
      sending = true;
      for (let event = queue.shift(); event && !writer.isOver; event = queue.shift()) {
        await writer.write(event);
      }
      sending = false;
    };
    const unsubscribe = directory.subscribe((change) => {
      if (!set || change.relay.relay.set === set) {
        queue.push(change);
        void send();
      }
    });
    for (const event of ['cancelled', 'close', 'error'] as const) {
      stream.on(event, unsubscribe);
    }
    await send();
  };
}
