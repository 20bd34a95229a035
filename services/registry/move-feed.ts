import { type MirrorOptions, PrefixMirror } from '../etcd/prefix-mirror.js';
import { decodeMove } from './binding-store.js';
import type { DirectoryDeps } from './relay-directory.js';

export interface MoveListener {
  /** The call was moved at this etcd revision: what was read of it before is history. */
  readonly onMove: (callKey: string, revision: number) => void;
  /** The move is so long ago that no answer from before it can still be on its way. */
  readonly onPast: (callKey: string) => void;
  /** Moves may have been missed: what is remembered has to be read again before it is trusted. */
  readonly onGap: () => void;
}

/** Tells caches which calls were moved, as it happens. */
export class MoveFeed {
  readonly #view: PrefixMirror<number>;

  constructor({ keys, ...parts }: DirectoryDeps, { onMove, onPast, onGap }: MoveListener) {
    const options: MirrorOptions<number> = {
      ...parts,
      prefix: keys.moves,
      decode: decodeMove,
      // Written in the transaction of the move, the key has the binding's own mod revision.
      onChange: (callKey, entry) => (entry ? onMove(callKey, entry.revision) : onPast(callKey)),
      // When it begins too: what was read during the gap may have been moved and past before its end.
      onLive: onGap,
    };
    this.#view = new PrefixMirror(options);
  }

  get live(): boolean {
    return this.#view.live;
  }

  start(): Promise<void> {
    return this.#view.start();
  }

  stop(): Promise<void> {
    return this.#view.stop();
  }
}
