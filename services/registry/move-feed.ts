import { decodeMove } from './binding-store.js';
import { PrefixView, type ViewOptions } from './prefix-view.js';
import type { DirectoryParts } from './relay-directory.js';

export interface MoveListener {
  /** The call is at this generation now: whoever remembers a lower one must forget it. */
  readonly onMove: (callKey: string, generation: number) => void;
  /** Moves may have been missed: what is remembered has to be read again before it is trusted. */
  readonly onGap: () => void;
}

/** Tells caches which calls were moved, as it happens. */
export class MoveFeed {
  readonly #view: PrefixView<number>;

  constructor({ keys, ...parts }: DirectoryParts, { onMove, onGap }: MoveListener) {
    const options: ViewOptions<number> = {
      ...parts,
      prefix: keys.moves,
      decode: decodeMove,
      // A move's key that expires says nothing about the call.
      onChange: (callKey, entry) => entry && onMove(callKey, entry.value),
      onLive: (live) => {
        if (!live) onGap();
      },
    };
    this.#view = new PrefixView(options);
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
