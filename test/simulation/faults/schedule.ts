import type { Random } from '../../chaos/plan/random.js';
import type { FaultSpan } from '../check/history.js';
import type { World } from '../world/world.js';
import { deadConnectionMs } from './etcd-faults.js';
import { type FaultName, faultKinds, faultNames } from './grammar.js';

export interface ScheduleOptions {
  /** When the first may begin, and when all have ended, ms. */
  readonly fromMs: number;
  readonly untilMs: number;
  /** In place of all kinds. */
  readonly kinds?: readonly FaultName[] | undefined;
  /** Other faults may come while etcd has lost data. */
  readonly overlaps?: boolean | undefined;
}

/** Between the beginnings of two faults, and of a fault, ms. */
const pauseMs = { least: 500, most: 18_000 };
const lengthMs = { least: 300, short: 3000, most: 20_000, outlasting: 35_000 };

/** These come alone, unless the options say otherwise: what they can do together with others is not withstood yet. */
const losses: ReadonlySet<FaultName> = new Set(['wipe', 'restore']);
/** How long replicas and relays may take to write again what was lost, and to be as before, ms. */
const aftermathMs = 12_000;

/** Whatever has brought it about. */
const noQuorum = {
  kind: 'etcd has no quorum',
  touches: ['etcd'],
  promised: 'answered',
  graceMs: deadConnectionMs,
  excusesMoves: false,
} as const;

/** Begins faults at drawn times, and ends them. Those of one kind never overlap, others may. */
export class Schedule {
  readonly spans: FaultSpan[] = [];
  readonly #world: World;
  readonly #random: Random;
  readonly #options: ScheduleOptions;
  readonly #underWay = new Map<FaultName, () => void>();
  /** Nothing begins before. */
  #aloneUntilMs = 0;
  #lastEndMs = 0;

  constructor(world: World, options: ScheduleOptions) {
    this.#world = world;
    this.#random = world.fork();
    this.#options = options;
    world.etcd.onQuorumChange = (hasQuorum) => this.#noteQuorum(hasQuorum);
  }

  /** Draws the first fault. @param kernel where faults happen */
  start(): void {
    this.#after(this.#options.fromMs, () => this.#next());
  }

  /** Ends all that is under way. */
  heal(): void {
    for (const end of [...this.#underWay.values()]) {
      end();
    }
  }

  #after(delayMs: number, task: () => void): void {
    this.#world.scheduler.after(delayMs, this.#world.nature, task);
  }

  #next(): void {
    const { untilMs } = this.#options;
    const { nowMs } = this.#world.scheduler;
    if (nowMs < untilMs) {
      this.#begin(Math.min(untilMs - nowMs, this.#length()));
      // Most come alone, some together.
      const most = this.#random.chance(0.3) ? pauseMs.least * 4 : pauseMs.most;
      this.#after(this.#random.between(pauseMs.least, most), () => this.#next());
    }
  }

  #length(): number {
    const lot = this.#random.next();
    if (lot < 0.5) {
      return this.#random.between(lengthMs.least, lengthMs.short);
    }
    return lot < 0.9
      ? this.#random.between(lengthMs.short, lengthMs.most)
      : this.#random.between(lengthMs.most, lengthMs.outlasting);
  }

  #begin(lengthMs: number): void {
    const { kinds = faultNames } = this.#options;
    const weights = Object.fromEntries(kinds.map((kind) => [kind, faultKinds[kind].weight]));
    const kind = this.#random.weighted(weights) as FaultName;
    const fault = this.#mayBegin(kind) ? faultKinds[kind].draw(this.#world, this.#random) : undefined;
    if (!fault) {
      return;
    }
    if (this.#comesAlone(kind)) {
      this.#aloneUntilMs = this.#world.scheduler.nowMs + lengthMs + aftermathMs;
    }
    const { subject: _, begin, end, ...promise } = fault;
    const span: FaultSpan = {
      ...promise,
      kind: `${kind} ${fault.subject}`,
      beginMs: this.#world.scheduler.nowMs,
      endMs: Number.POSITIVE_INFINITY,
    };
    this.spans.push(span);
    begin();
    const heal = () => {
      if (this.#underWay.delete(kind)) {
        end();
        span.endMs = this.#world.scheduler.nowMs;
        this.#lastEndMs = span.endMs;
      }
    };
    this.#underWay.set(kind, heal);
    this.#after(lengthMs, heal);
  }

  /** Faults of two members at a time are more than one of each: etcd is away, which neither of them says. */
  #noteQuorum(hasQuorum: boolean): void {
    const beginMs = this.#world.scheduler.nowMs;
    if (hasQuorum) {
      for (const span of this.spans.filter(({ kind }) => kind === noQuorum.kind)) {
        span.endMs = Math.min(span.endMs, beginMs);
      }
    } else {
      this.spans.push({ ...noQuorum, beginMs, endMs: Number.POSITIVE_INFINITY });
    }
  }

  #mayBegin(kind: FaultName): boolean {
    const { nowMs } = this.#world.scheduler;
    const isBusy = this.#underWay.size > 0 || nowMs < this.#lastEndMs + aftermathMs;
    return !this.#underWay.has(kind) && nowMs >= this.#aloneUntilMs && !(this.#comesAlone(kind) && isBusy);
  }

  #comesAlone(kind: FaultName): boolean {
    return losses.has(kind) && !this.#options.overlaps;
  }
}
