import type { SimProcess } from './process.js';

/** Something that happens in a process at a time. */
interface Entry {
  atMs: number;
  /** Of two at one time the first that was scheduled happens first. */
  order: number;
  readonly process: SimProcess;
  task: (() => void) | undefined;
}

/** Real ones, whatever `ambient.ts` has put in their place. */
const realSetImmediate = setImmediate;
/** Events that happen in one round of Node's event loop, which costs as much as some of them. */
const eventsPerRound = 100;

/**
 * Virtual time, and all that happens in it, one event after the other. Before the next event begins, all promises that
 * the last one settled have had their turn; nothing else runs meanwhile, so a seed gives one history.
 */
export class Scheduler {
  readonly #heap: Entry[] = [];
  #count = 0;
  #nowMs = 0;
  #current: SimProcess | undefined;
  /** Events that have happened. */
  events = 0;
  /** What an event, or a promise that it settled, threw and nobody caught. */
  onCrash: (process: SimProcess, error: unknown) => void = () => {};
  /** Called before each event. */
  onEvent: (atMs: number, process: SimProcess) => void = () => {};

  get nowMs(): number {
    return this.#nowMs;
  }

  /** The process whose code runs now; undefined outside of the simulation. */
  get current(): SimProcess | undefined {
    return this.#current;
  }

  /** Runs `task` in the process after `delayMs`. A dead process runs nothing, a frozen one when it goes on. */
  after(delayMs: number, process: SimProcess, task: () => void): () => void {
    const entry: Entry = { atMs: this.#nowMs + Math.max(0, delayMs), order: this.#count++, process, task };
    this.#push(entry);
    return () => {
      entry.task = undefined;
    };
  }

  /** Resolves when that time has come, or nothing is left to happen, or `isOver`. */
  run(untilMs: number, isOver: () => boolean = () => false): Promise<void> {
    return new Promise((resolve) => {
      let hasEnded = false;
      const turn = () => {
        this.#current = undefined;
        if (hasEnded) {
          return;
        }
        const isStopped = isOver();
        const next = isStopped ? undefined : this.#next(untilMs);
        if (next) {
          this.#happen(next);
        } else {
          hasEnded = true;
          this.#nowMs = isStopped ? this.#nowMs : Math.max(this.#nowMs, untilMs);
          resolve();
        }
      };
      // All in one phase of the event loop, with the turn of promises after each: nothing from outside comes between them.
      const round = () => {
        for (let turns = 0; turns < eventsPerRound; turns++) {
          realSetImmediate(turn);
        }
        realSetImmediate(() => {
          this.#current = undefined;
          if (!hasEnded) {
            round();
          }
        });
      };
      round();
    });
  }

  /** The next event until that time, past what is canceled or of the dead, and what a frozen process has to wait with. */
  #next(untilMs: number): Entry | undefined {
    for (;;) {
      const first = this.#heap[0];
      if (!first || first.atMs > untilMs) {
        return undefined;
      }
      const entry = this.#pop();
      const { process, task } = entry;
      if (!task || process.isDead) {
        continue;
      }
      if (!process.isFrozen) {
        return entry;
      }
      // The same one: what happens before it, when the process goes on, may cancel it.
      process.hold(() => {
        entry.atMs = this.#nowMs;
        entry.order = this.#count++;
        this.#push(entry);
      });
    }
  }

  #happen({ atMs, process, task }: Entry): void {
    this.#nowMs = Math.max(this.#nowMs, atMs);
    this.#current = process;
    this.events++;
    this.onEvent(this.#nowMs, process);
    try {
      task?.();
    } catch (error) {
      this.onCrash(process, error);
    }
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.length;
    for (; at > 0; ) {
      const parent = (at - 1) >> 1;
      if (!isBefore(entry, heap[parent] as Entry)) {
        break;
      }
      heap[at] = heap[parent] as Entry;
      at = parent;
    }
    heap[at] = entry;
  }

  #pop(): Entry {
    const heap = this.#heap;
    const first = heap[0] as Entry;
    const last = heap.pop() as Entry;
    if (heap.length === 0) {
      return first;
    }
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) {
        break;
      }
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Entry, heap[child] as Entry)) {
        child++;
      }
      if (!isBefore(heap[child] as Entry, last)) {
        break;
      }
      heap[at] = heap[child] as Entry;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(one: Entry, other: Entry): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);
}
