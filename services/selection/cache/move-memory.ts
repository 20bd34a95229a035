/** That a call was moved, as the registry told it. */
export interface HeardMove {
  /** etcd's revision of the move. */
  readonly revision: number;
  /** Of the binding that the move made, and its relay. */
  readonly generation: number;
  readonly relayId: string;
}

interface Remembered extends HeardMove {
  /** The history of etcd in which it was heard. */
  readonly history: number;
}

/**
 * The moves heard lately, at most so many; the oldest go first. By them an answer from before a move is known as history when
 * it comes after the news of it, and a call that etcd has lost is not begun at a generation that it has left behind.
 */
export class MoveMemory {
  readonly #moves = new Map<string, Remembered>();
  /** Answers to questions asked before this time may be older than a move that was forgotten. */
  #forgottenUntilMs = Number.NEGATIVE_INFINITY;

  constructor(private readonly capacity: number) {}

  get size(): number {
    return this.#moves.size;
  }

  /** @param nowMs by the monotonic clock */
  hear(callKey: string, move: Remembered, nowMs: number): void {
    this.#moves.delete(callKey);
    this.#moves.set(callKey, move);
    if (this.#moves.size > this.capacity) {
      const [oldest] = this.#moves.keys();
      this.#moves.delete(oldest as string);
      this.#forgottenUntilMs = nowMs;
    }
  }

  of(callKey: string): Remembered | undefined {
    return this.#moves.get(callKey);
  }

  /** The answer to a question asked at that time may show the call as it was before a move. */
  isPast(callKey: string, revision: number, askedAtMs: number): boolean {
    const move = this.#moves.get(callKey);
    return move ? revision < move.revision : askedAtMs <= this.#forgottenUntilMs;
  }

  /** Revisions count anew: etcd has another history. */
  forgetRevisions(): void {
    for (const [callKey, move] of this.#moves) {
      this.#moves.set(callKey, { ...move, revision: 0 });
    }
  }
}
