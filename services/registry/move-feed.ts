import { type MirrorOptions, PrefixMirror } from '../etcd/prefix-mirror.js';
import { decodeMove } from './binding-store.js';
import type { DirectoryDeps } from './relay-directory.js';

export interface MoveListener {
  /** The call was moved at this etcd revision: what was read of it before is history. */
  readonly onMove: (
    callKey: string,
    move: { readonly revision: number; readonly generation: number },
  ) => void;
  /** Moves may have been missed: what is remembered has to be read again before it counts as fresh. */
  readonly onGap: () => void;
}

/** Tells caches which calls were moved, as it happens. */
export class MoveFeed {
  readonly #mirror: PrefixMirror<number>;

  constructor({ keys, ...deps }: DirectoryDeps, { onMove, onGap }: MoveListener) {
    const options: MirrorOptions<number> = {
      ...deps,
      prefix: keys.moves,
      decode: decodeMove,
      // Written in the transaction of the move, the key has the binding's own mod revision.
      onChange: (callKey, entry) => {
        if (entry) {
          onMove(callKey, { revision: entry.revision, generation: entry.value });
        }
      },
      // When it begins too: what was read during the gap may have been moved before its end.
      onLive: onGap,
    };
    this.#mirror = new PrefixMirror(options);
  }

  get live(): boolean {
    return this.#mirror.live;
  }

  start(): Promise<void> {
    return this.#mirror.start();
  }

  stop(): Promise<void> {
    return this.#mirror.stop();
  }
}
