import type { Clock } from '../runtime/clock.js';

const heartbeatMs = 1000;
/** How far the clocks may drift apart between two heartbeats: NTP slews by less. */
const toleranceMs = 1000;

/** Whether the view that this process has of etcd may be wrong now, and why. */
export class ViewHealth {
  readonly #clock: Clock;
  readonly #lastsMs: number;
  /** Causes that have begun and not ended. */
  readonly #lasting = new Set<string>();
  #noted: { readonly reason: string; readonly atMs: number } | undefined;
  /** When the last of the causes that lasted had ended, by the monotonic clock. */
  #steadySinceMs = Number.NEGATIVE_INFINITY;
  #cancelHeartbeat: () => void = () => {};

  /** @param lastsMs how long the view stays suspect after a cause */
  constructor(clock: Clock, lastsMs: number) {
    this.#clock = clock;
    this.#lastsMs = lastsMs;
  }

  /** Why the view is suspect; undefined if it is not. */
  get reason(): string | undefined {
    for (const reason of this.#lasting) {
      return reason;
    }
    if (!this.#noted || this.#clock.monotonicMs() - this.#noted.atMs > this.#lastsMs) {
      return undefined;
    }
    return this.#noted.reason;
  }

  /** For how long no cause has lasted, ms; 0 while one does. */
  get steadyMs(): number {
    return this.#lasting.size > 0 ? 0 : this.#clock.monotonicMs() - this.#steadySinceMs;
  }

  /** A cause that is over at once. */
  note(reason: string): void {
    this.#noted = { reason, atMs: this.#clock.monotonicMs() };
  }

  /** A cause that lasts until it ends. */
  begin(reason: string): void {
    this.#lasting.add(reason);
  }

  end(reason: string): void {
    if (this.#lasting.delete(reason)) {
      this.#steadySinceMs = this.#clock.monotonicMs();
      this.note(reason);
    }
  }

  /** Begins to watch for steps of the wall clock, and for time during which this process did not run. */
  start(): void {
    const dueMs = this.#clock.monotonicMs() + heartbeatMs;
    const offsetMs = this.#offsetMs();
    this.#cancelHeartbeat = this.#clock.after(heartbeatMs, () => {
      if (Math.abs(this.#offsetMs() - offsetMs) > toleranceMs) {
        this.note('the wall clock was stepped');
      } else if (this.#clock.monotonicMs() - dueMs > toleranceMs) {
        this.note('this process was suspended');
      }
      this.start();
    });
  }

  stop(): void {
    this.#cancelHeartbeat();
  }

  #offsetMs(): number {
    return this.#clock.wallMs() - this.#clock.monotonicMs();
  }
}
