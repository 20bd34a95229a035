import type { Clock } from '../runtime/clock.js';

const heartbeatMs = 1000;
/** What the clocks may differ by between two heartbeats: NTP slews, it does not jump. */
const toleranceMs = 1000;

/** Whether what this process sees of etcd may be wrong just now, and why. */
export class ViewHealth {
  readonly #clock: Clock;
  readonly #lastsMs: number;
  readonly #lasting = new Set<string>();
  #noted: { readonly reason: string; readonly atMs: number } | undefined;
  #cancelHeartbeat: () => void = () => {};

  /** @param lastsMs how long after its cause a suspicion lasts */
  constructor(clock: Clock, lastsMs: number) {
    this.#clock = clock;
    this.#lastsMs = lastsMs;
  }

  /** Undefined if there is none. */
  get reason(): string | undefined {
    for (const reason of this.#lasting) {
      return reason;
    }
    if (!this.#noted || this.#clock.monotonicMs() - this.#noted.atMs > this.#lastsMs) {
      return undefined;
    }
    return this.#noted.reason;
  }

  note(reason: string): void {
    this.#noted = { reason, atMs: this.#clock.monotonicMs() };
  }

  /** A cause that lasts until it ends. */
  begin(reason: string): void {
    this.#lasting.add(reason);
  }

  end(reason: string): void {
    if (this.#lasting.delete(reason)) {
      this.note(reason);
    }
  }

  /** Begins to watch the clocks. */
  start(): void {
    const dueMs = this.#clock.monotonicMs() + heartbeatMs;
    const offsetMs = this.#offsetMs();
    this.#cancelHeartbeat = this.#clock.after(heartbeatMs, () => {
      if (Math.abs(this.#offsetMs() - offsetMs) > toleranceMs) {
        this.note('its clock jumped');
      } else if (this.#clock.monotonicMs() - dueMs > toleranceMs) {
        this.note('it stood still');
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
