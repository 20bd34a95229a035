import { PrefixMirror, type PrefixMirrorDeps } from '../etcd/prefix-mirror.js';
import { type MoveRecord, moveCodec } from './codecs/move.js';
import type { Keyspace } from './keyspace.js';

export interface MoveFeedDeps extends PrefixMirrorDeps {
  readonly keys: Keyspace;
}

export interface MoveListener {
  /** The call was moved at this etcd revision: what was read of it before is outdated. */
  readonly onMove: (callKey: string, move: MoveRecord & { readonly revision: number }) => void;
  /** Moves may have been missed: what is remembered has to be read again before it counts as fresh. */
  readonly onGap: () => void;
}

/** Reports to caches which calls were moved, as it happens. */
export class MoveFeed {
  readonly #mirror: PrefixMirror<MoveRecord>;

  constructor({ keys, ...deps }: MoveFeedDeps, { onMove, onGap }: MoveListener) {
    this.#mirror = new PrefixMirror(deps, {
      prefix: keys.moves,
      decode: moveCodec.decode,
      // A set of relays that dies moves all its calls: what is remembered of that is the caches' affair, and bounded there.
      keeps: false,
      // The key is written in the transaction of the move, so it has the mod revision of the binding.
      onChange: (callKey, entry) => {
        if (entry) {
          onMove(callKey, { ...entry.value, revision: entry.revision });
        }
      },
      // Also when a gap ends: what was read during it may have been moved before its end.
      onLive: onGap,
    });
  }

  get live(): boolean {
    return this.#mirror.live;
  }

  /** Resolves when the feed is complete, or when it is stopped before. */
  start(): Promise<void> {
    return this.#mirror.start();
  }

  stop(): Promise<void> {
    return this.#mirror.stop();
  }
}
