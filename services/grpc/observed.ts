import { type handleUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js';
import type { Freshness, Origin } from '../domain/binding.js';
import { HoldfastError } from '../domain/error.js';
import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';
import { type StatusError, toStatus } from './status.js';

/** Where requests and answers are counted. */
export interface RequestMetrics {
  observeRequest(method: string, code: string, durationMs: number): void;
  countAnswer(origin: Origin, freshness: Freshness): void;
}

export interface Observer {
  readonly metrics: RequestMetrics;
  readonly clock: Clock;
  readonly log: Logger;
  /** Why requests cannot be answered yet, or undefined: until the relays are known, «no relay» would be a guess. */
  readonly notReady: () => string | undefined;
}

export type Outcome<T> = { readonly value: T } | { readonly error: StatusError };

/**
 * Answers one request: its errors become statuses, and how long it took is counted. What is known at once is answered at
 * once: a turn of the event loop per request would be a good part of its cost.
 */
export function observe<T>(
  method: string,
  { metrics, clock, log, notReady }: Observer,
  handle: () => T | Promise<T>,
): Outcome<T> | Promise<Outcome<T>> {
  const startedAtMs = clock.monotonicMs();
  const answered = (value: T): Outcome<T> => {
    metrics.observeRequest(method, 'OK', clock.monotonicMs() - startedAtMs);
    return { value };
  };
  const failed = (thrown: unknown): Outcome<T> => {
    const error = toStatus(thrown, log);
    metrics.observeRequest(method, status[error.code], clock.monotonicMs() - startedAtMs);
    return { error };
  };
  try {
    const reason = notReady();
    if (reason !== undefined) {
      throw new HoldfastError('unavailable', reason);
    }
    const value = handle();
    return value instanceof Promise ? value.then(answered, failed) : answered(value);
  } catch (thrown) {
    return failed(thrown);
  }
}

/** A unary method whose work is a plain function of the request. */
export function unary<Request, Response>(
  method: string,
  observer: Observer,
  handle: (request: Request) => Response | Promise<Response>,
): handleUnaryCall<Request, Response> {
  return (call, callback: sendUnaryData<Response>) => {
    const answer = (outcome: Outcome<Response>) => {
      if ('error' in outcome) {
        callback(outcome.error, null);
      } else {
        callback(null, outcome.value);
      }
    };
    const outcome = observe(method, observer, () => handle(call.request));
    if (outcome instanceof Promise) {
      void outcome.then(answer);
    } else {
      answer(outcome);
    }
  };
}
