import type { Event, WatchResponse } from './messages.js';

/** The encoded size, near enough: the two or three byte strings and a margin for the numbers. */
function sizeOfEvent(event: Event): number {
  const { kv, prev_kv: previous } = event;
  const previousBytes = previous ? previous.key.length + (previous.value?.length ?? 0) : 0;
  return kv.key.length + (kv.value?.length ?? 0) + previousBytes + 64;
}

/**
 * A watcher that asked for fragments gets a response above the size limit in parts, all but the last marked so.
 * A single event is never cut.
 */
export function* fragments(response: WatchResponse, maxBytes: number): Generator<WatchResponse> {
  let part: Event[] = [];
  let bytes = 0;
  for (const event of response.events ?? []) {
    const size = sizeOfEvent(event);
    if (part.length > 0 && bytes + size >= maxBytes) {
      yield { ...response, events: part, fragment: true };
      part = [];
      bytes = 0;
    }
    part.push(event);
    bytes += size;
  }
  yield { ...response, events: part };
}
