import { type ServerWritableStream, status } from '@grpc/grpc-js';
import {
  type ListBindingsRequest,
  type ListBindingsResponse,
  type RelayServiceServer,
  WatchRelaysResponse_Type as Type,
  type WatchRelaysRequest,
  type WatchRelaysResponse,
} from '../../proto/generated/holdfast/v1/relay.js';
import type { Bindings, Intents, Membership, RelayChange } from '../domain/membership.js';
import type { Clock } from '../runtime/clock.js';
import { type Observer, observe, unary } from './observed.js';
import { listedBinding, relayMessage } from './replies.js';
import { parseIntent, parseRelayName, parseSetFilter } from './requests.js';
import { StreamWriter } from './stream-writer.js';

export interface RelayServiceDeps {
  readonly directory: Membership;
  readonly intents: Intents;
  readonly store: Bindings;
  readonly clock: Clock;
  readonly observer: Observer;
}

/** Messages that may wait for a slow subscriber before it is ended. */
const maxBehind = 1024;

/** `holdfast.v1.RelayService`: the membership, for operators and their programs. */
export function relayService(deps: RelayServiceDeps): RelayServiceServer {
  const { directory, intents, clock, observer } = deps;
  return {
    listRelays: unary('ListRelays', observer, async ({ set }) => ({
      relays: directory.list(parseSetFilter(set)).map(relayMessage),
      fresh: directory.live,
    })),
    watchRelays: (stream) => watchRelays(stream, deps),
    setIntent: unary('SetIntent', observer, async (request) => {
      const { set, id } = parseRelayName(request);
      const intent = parseIntent(request, clock.wallMs());
      await intents.set(set, id, intent);
      const { state = 'active', weight, reason, actor } = intent ?? {};
      observer.log.info({ relay: id, set, state, weight, reason, actor }, 'intent set');
      return { registered: directory.get(set, id) !== undefined };
    }),
    listBindings: (stream) => listBindings(stream, deps),
  };
}

/** Undefined for what is not told: a loss that is doubted is told when it is believed. */
const types: Record<RelayChange['type'], Type | undefined> = {
  joined: Type.JOINED,
  changed: Type.CHANGED,
  suspect: undefined,
  left: Type.LEFT,
};

async function watchRelays(
  stream: ServerWritableStream<WatchRelaysRequest, WatchRelaysResponse>,
  { directory, observer }: RelayServiceDeps,
): Promise<void> {
  const outcome = await observe('WatchRelays', observer, async () => parseSetFilter(stream.request.set));
  if ('error' in outcome) {
    return void stream.emit('error', outcome.error);
  }
  const set = outcome.value;
  for (const relay of directory.list(set)) {
    stream.write({ type: Type.SNAPSHOT, relay: relayMessage(relay) });
  }
  stream.write({ type: Type.SYNCED, relay: undefined });
  const unsubscribe = directory.subscribe(({ type, relay }) => {
    const told = types[type];
    if (told === undefined || (set && relay.relay.set !== set)) {
      return;
    }
    if (stream.writableLength > maxBehind) {
      unsubscribe();
      const details = `this subscriber is more than ${maxBehind} events behind; watch again`;
      return void stream.emit('error', { code: status.RESOURCE_EXHAUSTED, details });
    }
    stream.write({ type: told, relay: relayMessage(relay) });
  });
  for (const event of ['cancelled', 'close', 'error'] as const) {
    stream.on(event, unsubscribe);
  }
}

async function listBindings(
  stream: ServerWritableStream<ListBindingsRequest, ListBindingsResponse>,
  { store, observer }: RelayServiceDeps,
): Promise<void> {
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
  if ('error' in outcome) {
    stream.emit('error', outcome.error);
  } else {
    stream.end();
  }
}
