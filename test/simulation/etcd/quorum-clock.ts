import type { Clock } from '../../../services/runtime/clock.js';
import type { SimProcess } from '../kernel/process.js';

const pollMs = 200;

/** The time of a cluster's leases: they expire only while there is a leader to say so. */
export class QuorumClock implements Clock {
  #stoppedAtMs: number | undefined;
  #lostMs = 0;

  constructor(private readonly process: SimProcess) {}

  monotonicMs(): number {
    return (this.#stoppedAtMs ?? this.process.clock.monotonicMs()) - this.#lostMs;
  }

  wallMs(): number {
    return this.process.clock.wallMs();
  }

  after(delayMs: number, task: () => void): () => void {
    const dueMs = this.monotonicMs() + delayMs;
    let cancel = () => {};
    const wait = (ms: number) => {
      cancel = this.process.after(ms, () => {
        const leftMs = dueMs - this.monotonicMs();
        if (this.#stoppedAtMs !== undefined || leftMs > 0) {
          wait(Math.max(leftMs, this.#stoppedAtMs === undefined ? 0 : pollMs));
        } else {
          task();
        }
      });
    };
    wait(delayMs);
    return () => cancel();
  }

  stop(): void {
    this.#stoppedAtMs ??= this.process.clock.monotonicMs();
  }

  goOn(): void {
    if (this.#stoppedAtMs !== undefined) {
      this.#lostMs += this.process.clock.monotonicMs() - this.#stoppedAtMs;
      this.#stoppedAtMs = undefined;
    }
  }
}
