import type { handleServerStreamingCall } from '@grpc/grpc-js';
import {
  EventSeverity,
  type WatchEventsRequest,
  type WatchEventsResponse,
} from '../../../proto/generated/holdfast/v1/relay.js';
import { invalidArgument } from '../../domain/error.js';
import type { RecordedEvent, Severity } from '../../domain/recorded-event.js';
import type { RelayServiceDeps } from '../deps.js';
import { observe } from '../observe.js';
import { statusOf } from '../status.js';
import { StreamWriter } from '../stream-writer.js';

const maxSinceSeconds = 86_400;
/** Read at a time. What a slow subscriber has not read yet stays in the history, which is bounded, and nowhere else. */
const batch = 64;

/** `WatchEvents`: what has happened at this replica, then what happens, for as long as the client listens. */
export function watchEvents({
  feed,
  observer,
}: RelayServiceDeps): handleServerStreamingCall<WatchEventsRequest, WatchEventsResponse> {
  return async (stream) => {
    const { sinceSeconds, follow } = stream.request;
    const outcome = await observe('WatchEvents', observer, () => {
      if (sinceSeconds > maxSinceSeconds) {
        throw invalidArgument('since_seconds', `${sinceSeconds}`, `0-${maxSinceSeconds}`);
      }
      return feed.positionBefore(sinceSeconds * 1000);
    });
    if ('failure' in outcome) {
      return void stream.emit('error', statusOf(outcome.failure));
    }
    const writer = new StreamWriter<WatchEventsResponse>(stream);
    let position = outcome.value;
    let sending = false;
    const send = async () => {
      if (sending) {
        return;
      }
      sending = true;
      while (!writer.isOver) {
        const { events, missed, position: next } = feed.read(position, batch);
        if (events.length === 0 && missed === 0) {
          break;
        }
        position = next;
        if (missed > 0) {
          await writer.write({ event: undefined, missed: BigInt(missed) });
        }
        for (const event of events) {
          await writer.write({ event: eventMessage(event), missed: 0n });
        }
      }
      sending = false;
    };
    if (!follow) {
      await send();
      stream.end();
      return;
    }
    const unsubscribe = feed.subscribe(() => void send());
    for (const event of ['cancelled', 'close', 'error'] as const) {
      stream.on(event, unsubscribe);
    }
    await send();
  };
}

const severities: Readonly<Record<Severity, EventSeverity>> = {
  info: EventSeverity.INFO,
  warning: EventSeverity.WARNING,
  critical: EventSeverity.CRITICAL,
};

function eventMessage(event: RecordedEvent): WatchEventsResponse['event'] {
  return {
    sequence: BigInt(event.sequence),
    time: new Date(event.atMs),
    type: event.type,
    severity: severities[event.severity],
    text: event.text,
    set: event.set ?? '',
    relayId: event.relay ?? '',
    instance: event.instance ?? '',
    calls: BigInt(event.calls ?? 0),
    reason: event.reason ?? '',
    actor: event.by ?? '',
  };
}
