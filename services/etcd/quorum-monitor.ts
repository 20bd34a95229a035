import { HoldfastError, reasonOf } from '../domain/error.js';
import { Backoff } from '../runtime/backoff.js';
import type { Clock } from '../runtime/clock.js';
import { StateMachine, type Transitions } from '../runtime/state-machine.js';
import { refusalReason } from './errors.js';
import { isAnswer } from './failover.js';

export interface QuorumMonitorDeps {
  /** Sends etcd a request that is answered only if all others would be, writes among them. */
  readonly probe: (timeoutMs: number) => Promise<unknown>;
  /** Limit of one call to etcd, ms. */
  readonly timeoutMs: number;
  /** Called with the error that all waiting requests get when etcd is lost, and without one when it is back. */
  readonly onChange: (lost: HoldfastError | undefined) => void;
  readonly clock: Clock;
}

export type QuorumState =
  /** The newest write that has ended was answered. */
  | { readonly name: 'answering' }
  /** Requests have failed since the last answered write, or there is another reason to look. etcd is probed. */
  | { readonly name: 'doubtful'; readonly failures: number; readonly firstFailureAtMs: number }
  /** Nothing is sent except probes. */
  | { readonly name: 'lost'; readonly error: HoldfastError; readonly sinceMs: number }
  /** Nothing is watched any more. */
  | { readonly name: 'stopped' };

const transitions: Transitions<QuorumState> = {
  answering: ['doubtful', 'stopped'],
  doubtful: ['doubtful', 'answering', 'lost', 'stopped'],
  lost: ['answering', 'stopped'],
  stopped: [],
};

/** Failures in a row that mean a loss, if they span this time. Fewer can be one member, or one lost packet. */
const failuresToLost = 3;
const spanToLostMs = 100;
const probePause = { firstMs: 50, mostMs: 200 };
/** A probe is sent where no write was answered for this long. */
const heartbeatMs = 400;
/** Share of `timeoutMs`: how long a request may wait before etcd is probed, and the limit of one probe. */
const silenceShare = 0.2;

/**
 * Knows whether etcd takes writes: without a quorum it does not, nor when its space is exhausted, nor from a user who must
 * not write. While it takes none, requests are refused at once, so that each need not wait for a timeout of its own.
 * Meanwhile etcd is probed; the first answer ends the loss. That reads are answered proves nothing.
 */
export class QuorumMonitor {
  readonly #deps: QuorumMonitorDeps;
  readonly #machine = new StateMachine<QuorumState>({ name: 'answering' }, transitions);
  readonly #stopping = new AbortController();
  /** Rejects each request that waits for etcd. */
  readonly #waiting = new Set<(error: HoldfastError) => void>();
  /** When the newest answered write was sent. A failure of an older request says nothing about now. */
  #answeredAtMs = Number.NEGATIVE_INFINITY;
  /** When the newest answered request was sent. */
  #heardAtMs = Number.NEGATIVE_INFINITY;
  #isProbing = false;
  #probing: Promise<void> | undefined;
  #cancelSilence: (() => void) | undefined;
  #cancelHeartbeat: (() => void) | undefined;
  /** Since the start, for metrics. */
  readonly counters = { losses: 0 };

  constructor(deps: QuorumMonitorDeps) {
    this.#deps = deps;
  }

  get state(): QuorumState {
    return this.#machine.state;
  }

  /** Why requests are refused now; undefined if they are not. */
  get lost(): HoldfastError | undefined {
    return this.state.name === 'lost' ? this.state.error : undefined;
  }

  /** When the newest answered write was sent, by the monotonic clock; undefined if none was. */
  get answeredAtMs(): number | undefined {
    return Number.isFinite(this.#answeredAtMs) ? this.#answeredAtMs : undefined;
  }

  /** How long etcd has been lost, ms; 0 if it is not. */
  get lostForMs(): number {
    return this.state.name === 'lost' ? this.#deps.clock.monotonicMs() - this.state.sinceMs : 0;
  }

  /** Begins to probe etcd whenever nobody has written for a while. */
  start(): void {
    const { clock } = this.#deps;
    const sinceMs = clock.monotonicMs();
    this.#cancelHeartbeat = clock.after(heartbeatMs, () => {
      if (this.#answeredAtMs <= sinceMs) {
        this.look();
      }
      if (this.state.name !== 'stopped') {
        this.start();
      }
    });
  }

  /**
   * Sends a request unless etcd is lost, and gives up waiting for it when etcd is lost. A write that was given up may
   * still be made.
   * @throws HoldfastError `unavailable` if etcd is lost, else what `request` throws
   */
  ask<T>(kind: 'read' | 'write', request: () => Promise<T>): Promise<T> {
    if (this.lost) {
      return Promise.reject(this.lost);
    }
    const sentAtMs = this.#deps.clock.monotonicMs();
    this.#expectAnswer(sentAtMs);
    return new Promise<T>((resolve, reject) => {
      this.#waiting.add(reject);
      request().then(
        (value) => {
          this.#waiting.delete(reject);
          this.#heardAtMs = Math.max(this.#heardAtMs, sentAtMs);
          if (kind === 'write') {
            this.#answered(sentAtMs);
          }
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

  /** There is a reason to think that etcd is gone. Finds out, even if nobody sends a request. */
  look(): void {
    if (this.state.name === 'answering') {
      this.#doubt(0, this.#deps.clock.monotonicMs());
    }
  }

  async stop(): Promise<void> {
    if (this.state.name !== 'stopped') {
      this.#machine.enter({ name: 'stopped' });
    }
    this.#stopping.abort();
    this.#cancelSilence?.();
    this.#cancelHeartbeat?.();
    await this.#probing;
  }

  #answered(sentAtMs: number): void {
    this.#answeredAtMs = Math.max(this.#answeredAtMs, sentAtMs);
    const { name } = this.state;
    if (name === 'answering' || name === 'stopped') {
      return;
    }
    this.#machine.enter({ name: 'answering' });
    if (name === 'lost') {
      this.#deps.onChange(undefined);
    }
  }

  #failed(sentAtMs: number, reason: unknown): void {
    const { state } = this;
    if (sentAtMs <= this.#answeredAtMs || state.name === 'lost' || state.name === 'stopped') {
      return;
    }
    const nowMs = this.#deps.clock.monotonicMs();
    const before = state.name === 'doubtful' ? state.failures : 0;
    const failures = before + 1;
    const firstFailureAtMs = state.name === 'doubtful' && before > 0 ? state.firstFailureAtMs : nowMs;
    this.#doubt(failures, firstFailureAtMs);
    if (failures >= failuresToLost && nowMs - firstFailureAtMs >= spanToLostMs) {
      this.#lose(`etcd is out of reach: ${reasonOf(reason)}`);
    }
  }

  /** etcd has answered, and a quorum of it refuses writes: there is nothing to wait for. */
  #refused(sentAtMs: number, error: unknown): void {
    if (sentAtMs > this.#answeredAtMs && this.state.name === 'doubtful') {
      this.#lose(`etcd refuses writes: ${refusalReason(error)}`);
    }
  }

  #doubt(failures: number, firstFailureAtMs: number): void {
    this.#machine.enter({ name: 'doubtful', failures, firstFailureAtMs });
    if (!this.#isProbing) {
      this.#isProbing = true;
      this.#probing = this.#probeUntilAnswered();
    }
  }

  #lose(reason: string): void {
    const { clock, onChange } = this.#deps;
    const error = new HoldfastError('unavailable', reason);
    this.#machine.enter({ name: 'lost', error, sinceMs: clock.monotonicMs() });
    this.counters.losses++;
    onChange(error);
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const reject of waiting) {
      reject(error);
    }
  }

  /** One timer for all requests: if none is answered for a while, etcd is probed. */
  #expectAnswer(sentAtMs: number): void {
    const { clock, timeoutMs } = this.#deps;
    if (this.#cancelSilence || this.state.name === 'stopped') {
      return;
    }
    this.#cancelSilence = clock.after(timeoutMs * silenceShare, () => {
      this.#cancelSilence = undefined;
      if (this.#waiting.size === 0) {
        return;
      }
      if (this.#heardAtMs < sentAtMs) {
        this.look();
      } else {
        this.#expectAnswer(clock.monotonicMs());
      }
    });
  }

  async #probeUntilAnswered(): Promise<void> {
    const { probe, timeoutMs, clock } = this.#deps;
    const backoff = new Backoff(probePause, clock);
    while (this.state.name === 'doubtful' || this.state.name === 'lost') {
      const sentAtMs = clock.monotonicMs();
      try {
        await probe(timeoutMs * silenceShare);
        this.#answered(sentAtMs);
      } catch (error) {
        if (isAnswer(error)) {
          this.#refused(sentAtMs, error);
        } else {
          this.#failed(sentAtMs, error);
        }
        await backoff.pause(this.#stopping.signal);
      }
    }
    this.#isProbing = false;
  }
}
