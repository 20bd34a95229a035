import type { handleServerStreamingCall } from '@grpc/grpc-js';
import type {
  ListBindingsRequest,
  ListBindingsResponse,
} from '../../../proto/generated/holdfast/v1/relay.js';
import type { RelayServiceDeps } from '../deps.js';
import { observe } from '../observe.js';
import { listedBinding } from '../replies.js';
import { parseRelayName } from '../requests.js';
import { statusOf } from '../status.js';
import { StreamWriter } from '../stream-writer.js';

/** `ListBindings`: the calls that are bound to a relay, read as fast as the client takes them. */
export function listBindings({
  store,
  observer,
}: RelayServiceDeps): handleServerStreamingCall<ListBindingsRequest, ListBindingsResponse> {
  return async (stream) => {
    const writer = new StreamWriter<ListBindingsResponse>(stream);
    const outcome = await observe('ListBindings', observer, async () => {
      const { set, id } = parseRelayName(stream.request);
      for await (const { binding } of store.list()) {
        if (writer.isOver) {
          return;
        }
        if (binding.relayId === id && binding.call.set === set) {
          await writer.write(listedBinding(binding));
        }
      }
    });
    if ('failure' in outcome) {
      stream.emit('error', statusOf(outcome.failure));
    } else {
      stream.end();
    }
  };
}
