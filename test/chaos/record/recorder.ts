import { nowMs } from './now.js';
import type { HistoryRecord, InvokeRecord, ReturnRecord } from './records.js';

export type Asked = Omit<InvokeRecord, 'type' | 'op' | 'atMs' | 'replica' | 'life'>;
export type Outcome = Omit<ReturnRecord, 'type' | 'op' | 'atMs' | 'life'>;

/** The replica of an operation, as recorded. */
export interface Asker {
  readonly name: string;
  readonly life: number;
}

/** Where records are written. */
export interface HistorySink {
  write(record: HistoryRecord): void;
}

/** Records when each operation begins, and when and how it ends. */
export class Recorder {
  readonly #history: HistorySink;
  #operations = 0;
  #underWay = 0;
  readonly counts = { ok: 0, refused: 0, unknown: 0, stale: 0, provisional: 0 };

  constructor(history: HistorySink) {
    this.#history = history;
  }

  get operations(): number {
    return this.#operations;
  }

  get underWay(): number {
    return this.#underWay;
  }

  /** Runs one operation, which never rejects, and writes both of its records. */
  async record(asked: Asked, whom: Asker, perform: () => Promise<Outcome>): Promise<Outcome> {
    const op = ++this.#operations;
    this.#underWay++;
    const { name: replica, life } = whom;
    this.#history.write({ type: 'invoke', op, atMs: nowMs(), replica, life, ...asked });
    const outcome = await perform();
    this.#history.write({ type: 'return', op, atMs: nowMs(), life: whom.life, ...outcome });
    this.#underWay--;
    this.counts[outcome.outcome]++;
    const freshness = outcome.answer?.freshness;
    if (freshness === 'stale' || freshness === 'provisional') {
      this.counts[freshness]++;
    }
    return outcome;
  }
}
