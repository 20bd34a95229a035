/** Everything that can go wrong for a caller, as a closed list: edges translate it, nothing else is thrown on purpose. */
export type ErrorCode =
  /** A field is malformed; nothing was done. */
  | 'invalid-argument'
  /** The call has no binding. */
  | 'not-found'
  /** The call is at another generation than the one named, or a guard of the request does not hold. */
  | 'failed-precondition'
  /** Every eligible relay is at its capacity. */
  | 'relays-full'
  /** No relay of the set is eligible. */
  | 'no-relay'
  /** etcd cannot be reached; whether the request took effect is unknown: retry it. */
  | 'unavailable'
  /** This replica has more waiting than its bound allows; another one may have less. */
  | 'overloaded';

export class HoldfastError extends Error {
  override readonly name: string = 'HoldfastError';
  constructor(
    readonly code: ErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** A field is malformed: says which, what was wrong with it, and what is allowed. */
export function invalidArgument(field: string, problem: string, allowed: string): HoldfastError {
  return new HoldfastError('invalid-argument', `${field}: ${problem}; allowed: ${allowed}`);
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
