import { type Clock, systemClock } from '../../services/runtime/clock.js';

/** A clock that only a test advances. */
export class ManualClock implements Clock {
  #nowMs = 1_000_000;
  #wallMs = 1_700_000_000_000;
  readonly #tasks = new Set<{ atMs: number; task: () => void }>();

  monotonicMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#wallMs + this.#nowMs;
  }

  after(delayMs: number, task: () => void): () => void {
    const entry = { atMs: this.#nowMs + delayMs, task };
    this.#tasks.add(entry);
    return () => {
      this.#tasks.delete(entry);
    };
  }

  /** Somebody sets the wall clock. */
  stepWall(ms: number): void {
    this.#wallMs += ms;
  }

  /** Runs what falls due on the way, in order. */
  advance(ms: number): void {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      const due = [...this.#tasks]
        .filter((entry) => entry.atMs <= untilMs)
        .sort((a, b) => a.atMs - b.atMs)[0];
      if (!due) {
        break;
      }
      this.#tasks.delete(due);
      this.#nowMs = Math.max(this.#nowMs, due.atMs);
      due.task();
    }
    this.#nowMs = untilMs;
  }

  /** Like `advance`, in steps, so that what a timer starts can continue before the next step. */
  async pass(ms: number, stepMs = 50): Promise<void> {
    for (let left = ms; left > 0; left -= stepMs) {
      this.advance(Math.min(stepMs, left));
      await turns();
    }
  }
}

/** The system clock with an offset that a test can increase. Its timers run in real time. */
export class ShiftedClock implements Clock {
  #shiftMs = 0;
  #wallShiftMs = 0;

  monotonicMs(): number {
    return systemClock.monotonicMs() + this.#shiftMs;
  }

  wallMs(): number {
    return systemClock.wallMs() + this.#shiftMs + this.#wallShiftMs;
  }

  after(delayMs: number, task: () => void): () => void {
    return systemClock.after(delayMs, task);
  }

  putForward(ms: number): void {
    this.#shiftMs += ms;
  }

  /** Somebody sets the wall clock. */
  stepWall(ms: number): void {
    this.#wallShiftMs += ms;
  }
}

/** Yields to the event loop so that pending callbacks and promises run. */
export async function turns(count = 5): Promise<void> {
  for (let i = 0; i < count; i++) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}
