/** What a loop does again and again. */
export interface Operations {
  /** Calls that one operation is about. */
  readonly size: number;
  /** Begins the next one. */
  start(done: (succeeded: boolean) => void): void;
  /** Sampled answers that were not as expected. */
  readonly unexpected: number;
  /** Bytes of one answer's message; 0 where nobody asks. */
  readonly answerBytes: number;
  close(): Promise<void> | void;
}
