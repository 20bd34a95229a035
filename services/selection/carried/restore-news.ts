import type { HistoryChange } from '../../etcd/history.js';
import { type Clock, sleep } from '../../runtime/clock.js';

/** Relay nodes notice within a second that etcd was restored, and repeat what they report every 5 s. */
const listenMs = 10_000;
const periodMs = 500;

export interface RestoreNewsDeps {
  /** What relay nodes say: up to which revision etcd has what it has from before it was restored; 0 if it was not. */
  readonly directory: { readonly restoredRevision: number };
  readonly clock: Clock;
}

/** That etcd was wiped or restored before this replica started, it cannot tell itself: relay nodes that ran meanwhile can. */
export class RestoreNews {
  readonly #deps: RestoreNewsDeps;
  readonly #onRestored: (change: HistoryChange) => void;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;

  constructor(deps: RestoreNewsDeps, onRestored: (change: HistoryChange) => void) {
    this.#deps = deps;
    this.#onRestored = onRestored;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { directory, clock } = this.#deps;
    const { signal } = this.#stopping;
    const untilMs = clock.monotonicMs() + listenMs;
    for (let known = 0; clock.monotonicMs() < untilMs && !signal.aborted; ) {
      const { restoredRevision: revision } = directory;
      if (revision > known) {
        known = revision;
        this.#onRestored({ reason: 'relay nodes say that it was wiped or restored', revision });
      }
      await sleep(clock, periodMs, signal);
    }
  }
}
