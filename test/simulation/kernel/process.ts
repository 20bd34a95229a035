import type { Clock } from '../../../services/runtime/clock.js';
import type { Random } from '../../chaos/plan/random.js';
import type { Scheduler } from './scheduler.js';

/** The wall clocks of all hosts, unless somebody steps one: 2026-01-01. */
const epochMs = Date.UTC(2026, 0, 1);

/** A machine: its processes share address and clocks. */
export class Host {
  /** Ms by which its wall clock is ahead. */
  wallOffsetMs = 0;
  readonly bootedMs: number;
  /** What goes on whatever becomes of the processes. */
  readonly kernel: SimProcess;

  constructor(
    readonly address: string,
    readonly scheduler: Scheduler,
    readonly random: Random,
  ) {
    this.bootedMs = -1000 * random.between(60, 100_000);
    this.kernel = new SimProcess(`kernel of ${address}`, this);
  }

  monotonicMs(): number {
    return this.scheduler.nowMs - this.bootedMs;
  }

  wallMs(): number {
    return epochMs + this.scheduler.nowMs + this.wallOffsetMs;
  }
}

/** One life of a process. Another life is another object. */
export class SimProcess {
  #isDead = false;
  #isFrozen = false;
  #held: (() => void)[] = [];
  readonly #atDeath: (() => void)[] = [];
  readonly clock: Clock;

  constructor(
    readonly name: string,
    readonly host: Host,
  ) {
    this.clock = {
      monotonicMs: () => host.monotonicMs(),
      wallMs: () => Math.round(host.wallMs()),
      after: (delayMs, task) => this.after(delayMs, task),
    };
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  get isFrozen(): boolean {
    return this.#isFrozen;
  }

  after(delayMs: number, task: () => void): () => void {
    return this.host.scheduler.after(delayMs, this, task);
  }

  /** Runs `task` in this process, as its next event. */
  enter(task: () => void): void {
    this.after(0, task);
  }

  /** SIGKILL: nothing of it runs any more. */
  kill(): void {
    if (this.#isDead) {
      return;
    }
    this.#isDead = true;
    this.#held = [];
    for (const task of this.#atDeath) {
      task();
    }
  }

  /** SIGSTOP: clocks go on. */
  freeze(): void {
    this.#isFrozen = true;
  }

  /** SIGCONT: what fell due meanwhile happens now, in order. */
  thaw(): void {
    this.#isFrozen = false;
    for (const push of this.#held.splice(0)) {
      push();
    }
  }

  hold(push: () => void): void {
    this.#held.push(push);
  }

  onDeath(task: () => void): void {
    this.#atDeath.push(task);
  }
}
