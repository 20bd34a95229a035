import { contains, type KeyRange } from './key-range.js';
import { isTombstone, type Version } from './version.js';

export interface WatchOptions {
  readonly keys: KeyRange;
  readonly withPuts: boolean;
  readonly withDeletes: boolean;
  readonly withPrevious: boolean;
  readonly fragment: boolean;
  readonly progressNotify: boolean;
}

/** One watched range on one stream. */
export interface Watcher extends WatchOptions {
  readonly id: number;
  /** Events before this revision are not wanted, or have been sent. */
  nextRevision: number;
  /** A watcher in step receives each commit directly; a lagging one reads the log when its stream can take more. */
  inStep: boolean;
  /** Whether anything was sent since the last progress notice was due. */
  busy: boolean;
}

export function wants(watcher: Watcher, event: Version): boolean {
  if (event.modRevision < watcher.nextRevision) {
    return false;
  }
  if (!(isTombstone(event) ? watcher.withDeletes : watcher.withPuts)) {
    return false;
  }
  return contains(watcher.keys, event.key);
}
