/** An operation that a loop repeats. */
export interface Operations {
  /** Number of calls per operation. */
  readonly size: number;
  /** Starts the next operation. */
  start(done: (succeeded: boolean) => void): void;
  /** Sampled answers that were unexpected. */
  readonly unexpected: number;
  /** Size of one answer's message, bytes; 0 if it is not measured. */
  readonly answerBytes: number;
  close(): Promise<void> | void;
}
