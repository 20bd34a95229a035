/** Every error that a caller is meant to see, as a closed list. Fronts translate it; nothing else is thrown on purpose. */
export type ErrorCode =
  /** A field is malformed; nothing was done. */
  | 'invalid-argument'
  /** The call has no binding. */
  | 'not-found'
  /** The relay is not registered, and operators have said nothing of it. */
  | 'unknown-relay'
  /** The call is at another generation than the one named. */
  | 'failed-precondition'
  /** Every eligible relay is at its capacity. */
  | 'relays-full'
  /** No relay of the set is eligible. */
  | 'no-relay'
  /** The relay of the call has lost its registration, but is not believed to be gone yet: retry. */
  | 'relay-awaited'
  /** etcd did not confirm the request; whether it took effect is unknown: retry it. */
  | 'unavailable'
  /** This replica has as many requests waiting as its limit allows; another one may have fewer. */
  | 'overloaded'
  /** This replica has not read the relays from etcd yet; another one may have. */
  | 'not-ready';

export interface HoldfastErrorOptions extends ErrorOptions {
  /** What the error is about, for programs: `set`, `relay`, `limit`, … */
  readonly metadata?: Readonly<Record<string, string>>;
}

export class HoldfastError extends Error {
  override readonly name: string = 'HoldfastError';
  readonly metadata: Readonly<Record<string, string>>;

  constructor(
    readonly code: ErrorCode,
    message: string,
    { metadata = {}, ...options }: HoldfastErrorOptions = {},
  ) {
    super(message, options);
    this.metadata = metadata;
  }
}

/** A field is malformed: the message says which, what is wrong with it, and what is allowed. */
export function invalidArgument(field: string, problem: string, allowed: string): HoldfastError {
  const metadata = { field, allowed };
  return new HoldfastError('invalid-argument', `${field}: ${problem}; allowed: ${allowed}`, { metadata });
}

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return withoutEmptyNote(error instanceof Error ? error.message : String(error));
}

/** The same for people: of what gRPC says of a connection that it does not get, or of a deadline, the part that says why. */
export function reasonOf(error: unknown): string {
  return messageOf(error)
    .replace(
      /^(?:\d+ [A-Z_]+: )?(?:[\w ]+: )?No connection established\. Last error: (?:[^:]*No connection established\. Last error: )?(?:Error: )?/s,
      '',
    )
    .replace(
      /^\d+ DEADLINE_EXCEEDED: Deadline exceeded after ([\d.]+)s.*?(?:remote_addr=([^,\s]+).*)?$/s,
      deadline,
    );
}

const deadline = (_: string, seconds: string, peer?: string) =>
  `no answer${peer ? ` from ${peer}` : ''} within ${seconds} s`;

/** gRPC ends what it says of a connection with the words for a note, whether there is one or not. */
export function withoutEmptyNote(message: string): string {
  return message.replace(/\. Resolution note: $/, '');
}
