import { HoldfastError, messageOf } from '../domain/error.js';
import { type Clock, sleep } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';

export interface QuorumMonitorDeps {
  /** Asks etcd something that only a quorum can answer. */
  readonly probe: (timeoutMs: number) => Promise<unknown>;
  /** Most that one call to etcd may take, ms. */
  readonly timeoutMs: number;
  /** Called when etcd is lost, with what everyone who waits is told; and when it is back, without. */
  readonly onChange: (lost: HoldfastError | undefined) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

/** So many questions in a row, over at least so long, must have failed: one member may be down, or a packet lost. */
const failuresToLost = 3;
const spanToLostMs = 100;
/** Between two probes: while it is in doubt whether etcd is lost, and when it is. */
const probePeriodMs = { doubtful: 50, lost: 200 };
/** Of `timeoutMs`: how long nothing may be answered before etcd is probed, and how long a probe may take. */
const silenceShare = 0.2;

/**
 * Whether etcd's quorum answers. While it does not, questions are refused at once instead of each waiting for a
 * timeout of its own; etcd is probed meanwhile, and the first answer ends that.
 */
export class QuorumMonitor {
  readonly #deps: QuorumMonitorDeps;
  readonly #stopping = new AbortController();
  /** Those who wait for etcd, to be told if it is lost. */
  readonly #waiting = new Set<(error: HoldfastError) => void>();
  /** Failures since the last answer, and when the first of them was noticed. */
  #failures = 0;
  #failingSinceMs = 0;
  /** When the newest question was sent that has been answered: failures of older ones are no news. */
  #answeredAtMs = Number.NEGATIVE_INFINITY;
  #lost: { readonly error: HoldfastError; readonly sinceMs: number } | undefined;
  #probing: Promise<void> | undefined;
  #cancelSilence: (() => void) | undefined;
  /** Since the start, for metrics. */
  readonly counters = { losses: 0 };

  constructor(deps: QuorumMonitorDeps) {
    this.#deps = deps;
  }

  /** Why nothing can be asked now, or undefined. */
  get lost(): HoldfastError | undefined {
    return this.#lost?.error;
  }

  /** How long etcd has been lost, ms; 0 if it is not. */
  get lostForMs(): number {
    return this.#lost ? this.#deps.clock.monotonicMs() - this.#lost.sinceMs : 0;
  }

  /**
   * Asks etcd, unless it is lost; and gives up waiting when it is. A write that was given up may still be made.
   * @throws HoldfastError `unavailable` if etcd is lost, else what `question` throws
   */
  ask<T>(question: () => Promise<T>): Promise<T> {
    if (this.#lost) {
      return Promise.reject(this.#lost.error);
    }
    const sentAtMs = this.#deps.clock.monotonicMs();
    this.#expectAnswer(sentAtMs);
    return new Promise<T>((resolve, reject) => {
      this.#waiting.add(reject);
      question().then(
        (value) => {
          this.#waiting.delete(reject);
          this.#answered(sentAtMs);
          resolve(value);
        },
        (error) => {
          this.#waiting.delete(reject);
          if (error instanceof HoldfastError && error.code === 'unavailable') {
            this.#failed(sentAtMs, error);
          }
          reject(error);
        },
      );
    });
  }

  /** Somebody has a reason to think that etcd is gone: where nobody asks it anything, that is noticed all the same. */
  look(): void {
    this.#probe();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#cancelSilence?.();
    await this.#probing;
  }

  #answered(sentAtMs: number): void {
    if (sentAtMs > this.#answeredAtMs) {
      this.#answeredAtMs = sentAtMs;
    }
    this.#failures = 0;
    const { log, onChange } = this.#deps;
    if (!this.#lost) {
      return;
    }
    log.info({ lostForMs: Math.round(this.lostForMs) }, 'etcd answers again');
    this.#lost = undefined;
    onChange(undefined);
  }

  #failed(sentAtMs: number, reason: unknown): void {
    if (sentAtMs <= this.#answeredAtMs || this.#lost) {
      return;
    }
    const nowMs = this.#deps.clock.monotonicMs();
    if (++this.#failures === 1) {
      this.#failingSinceMs = nowMs;
    }
    if (this.#failures >= failuresToLost && nowMs - this.#failingSinceMs >= spanToLostMs) {
      this.#lose(reason);
    }
    this.#probe();
  }

  #lose(reason: unknown): void {
    const { clock, onChange } = this.#deps;
    const error = new HoldfastError('unavailable', `etcd is out of reach: ${messageOf(reason)}`);
    this.#lost = { error, sinceMs: clock.monotonicMs() };
    this.counters.losses++;
    onChange(error);
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const reject of waiting) {
      reject(error);
    }
  }

  /** One timer for all questions: where none was answered for a while, somebody has to look. */
  #expectAnswer(sentAtMs: number): void {
    const { clock, timeoutMs } = this.#deps;
    if (this.#cancelSilence || this.#stopping.signal.aborted) {
      return;
    }
    this.#cancelSilence = clock.after(timeoutMs * silenceShare, () => {
      this.#cancelSilence = undefined;
      if (this.#waiting.size === 0) {
        return;
      }
      if (this.#answeredAtMs < sentAtMs) {
        this.#probe();
      } else {
        this.#expectAnswer(clock.monotonicMs());
      }
    });
  }

  /** Probes until there was an answer. */
  #probe(): void {
    this.#probing ??= this.#probeUntilAnswered().finally(() => {
      this.#probing = undefined;
    });
  }

  async #probeUntilAnswered(): Promise<void> {
    const { probe, timeoutMs, clock } = this.#deps;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const sentAtMs = clock.monotonicMs();
      try {
        await probe(timeoutMs * silenceShare);
        return this.#answered(sentAtMs);
      } catch (error) {
        this.#failed(sentAtMs, error);
      }
      await sleep(clock, this.#lost ? probePeriodMs.lost : probePeriodMs.doubtful, signal);
    }
  }
}
