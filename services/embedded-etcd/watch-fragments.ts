import type { Event, KeyValue, WatchResponse } from '../../proto/generated/etcd/rpc.js';

/** The encoded size, near enough: the byte strings and a margin for the numbers. */
const sizeOfEvent = ({ kv, prevKv }: Event): number => sizeOf(kv) + sizeOf(prevKv) + 64;

const sizeOf = (kv: KeyValue | undefined): number => (kv ? kv.key.length + kv.value.length : 0);

/**
 * A watcher that requested fragments receives events above the size limit in parts, all but the last marked as fragments.
 * A single event is never cut.
 */
export function* fragments(
  events: readonly Event[],
  maxBytes: number,
): Generator<Pick<WatchResponse, 'events' | 'fragment'>> {
  let part: Event[] = [];
  let bytes = 0;
  for (const event of events) {
    const size = sizeOfEvent(event);
    if (part.length > 0 && bytes + size >= maxBytes) {
      yield { events: part, fragment: true };
      part = [];
      bytes = 0;
    }
    part.push(event);
    bytes += size;
  }
  yield { events: part, fragment: false };
}
