/**
 * timeout: nobody answered. refused: it was clear at once that nobody will: the host said so, or the address cannot be reached.
 * overloaded: too many requests are waiting already. closed: the client is stopped. malformed: the request cannot be sent, or the
 * reply cannot be read.
 */
export type ControlClientErrorCode = 'timeout' | 'refused' | 'overloaded' | 'closed' | 'malformed';

/** Why a relay has not answered. */
export class ControlClientError extends Error {
  override readonly name: string = 'ControlClientError';

  constructor(
    readonly code: ControlClientErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

export interface ControlRequestOptions {
  /** ms; by default the client's own. */
  readonly timeoutMs?: number;
  /** Time between copies of the request where copies may get lost, ms. */
  readonly retransmitMs?: number;
}

/** Puts requests to one relay. */
export interface ControlClient {
  /** Tries the address; the client works without it. @throws ControlClientError `refused` */
  start(): Promise<void>;
  /** Ends every waiting request with `closed`. */
  stop(): Promise<void>;
  /** @returns the bytes of the reply @throws ControlClientError */
  request(body: Buffer, options?: ControlRequestOptions): Promise<Buffer>;
}
