import type { Freshness, Origin } from '../domain/binding.js';
import { HoldfastError } from '../domain/error.js';

/** Why a call was refused. */
export const refusalCauses = [
  // As the errors of that name.
  'relays-full',
  'no-relay',
  'relay-awaited',
  'unavailable',
  'overloaded',
  'not-ready',
  /** No relay answered in time. */
  'no-answer',
  /** The relay, and each that was asked before it, has no room. */
  'relay-full',
  /** The same for what the call needs: none has it. */
  'relay-unable',
  /** The relay refused the request for a reason of its own. */
  'relay-error',
  /** Anything else. */
  'internal',
] as const;

export type RefusalCause = (typeof refusalCauses)[number];

/** The cause where a request for a call has thrown this. */
export function refusalCauseOf(error: unknown): RefusalCause {
  const code = error instanceof HoldfastError ? error.code : undefined;
  return refusalCauses.find((cause) => cause === code) ?? 'internal';
}

/** Where one front counts what it is asked, and what it answers. Names are of sets that nobody outside can add to. */
export interface FrontMetrics {
  /** One request was answered. @param result `ok`, or in what way it failed */
  observeRequest(command: string, result: string, durationMs: number): void;
  /** A call has a relay. */
  countAnswer(origin: Origin, freshness: Freshness): void;
  /** A call was given none, or its relay did not take it. */
  countRefusal(cause: RefusalCause): void;
}

/** For worlds in which nothing is counted. */
export const noMetrics: FrontMetrics = {
  observeRequest() {},
  countAnswer() {},
  countRefusal() {},
};
