import { effectiveState, effectiveWeight, type RegisteredRelay } from '../domain/relay.js';
import { hashText } from './hash.js';

/** Load reports older than this say nothing about now. */
export const reportMaxAgeMs = 10_000;

/** A registered relay as placement sees it: its weight, and how many calls it has by now. */
export class Candidate {
  readonly id: string;
  readonly weight: number;
  readonly takesCalls: boolean;
  readonly capacity: number;
  /** Of the id alone, so that all replicas rank alike and a restart changes nothing. */
  readonly hash: number;
  #registered: RegisteredRelay;
  /** Calls that this replica placed here since the report. Candidates of one relay share it, as they follow each other. */
  #placed: PlacedCount = { calls: 0 };

  constructor(registered: RegisteredRelay) {
    const { relay } = registered;
    this.#registered = registered;
    this.id = relay.id;
    this.capacity = relay.capacity;
    this.weight = effectiveWeight(registered);
    this.takesCalls = effectiveState(registered) === 'active' && this.weight > 0;
    this.hash = hashText(relay.id);
  }

  get registered(): RegisteredRelay {
    return this.#registered;
  }

  /** Concurrent calls: the last report and own picks since. */
  get calls(): number {
    return (this.#registered.load?.calls ?? 0) + this.#placed.calls;
  }

  get isFull(): boolean {
    return this.capacity > 0 && this.calls >= this.capacity;
  }

  hasFreshReport(nowMs: number): boolean {
    return nowMs - (this.#registered.loadHeardAtMs ?? Number.NEGATIVE_INFINITY) <= reportMaxAgeMs;
  }

  /** One more call is placed here. */
  reserve(): Reservation {
    return new Reservation(this.#registered, this.#placed);
  }

  onlyLoadDiffers({ relay, intent }: RegisteredRelay): boolean {
    return this.#registered.relay === relay && this.#registered.intent === intent;
  }

  /** A new load report: it counts the calls placed before it. */
  report(registered: RegisteredRelay): void {
    if (registered.loadHeardAtMs !== this.#registered.loadHeardAtMs) {
      this.#placed = { calls: 0 };
    }
    this.#registered = registered;
  }

  /** Takes over what this replica counted before the registration or intent changed. */
  continueFrom(previous: Candidate): void {
    if (previous.registered.loadHeardAtMs === this.registered.loadHeardAtMs) {
      this.#placed = previous.#placed;
    }
  }
}

interface PlacedCount {
  calls: number;
}

/** A call that was placed on a relay, and counts there until the relay's next report. */
export class Reservation {
  #count: PlacedCount | undefined;

  constructor(
    readonly registered: RegisteredRelay,
    count: PlacedCount,
  ) {
    this.#count = count;
    count.calls++;
  }

  get id(): string {
    return this.registered.relay.id;
  }

  /** The placement came to nothing: the call turned out to be bound elsewhere. */
  cancel(): void {
    if (this.#count) {
      this.#count.calls--;
      this.#count = undefined;
    }
  }
}
