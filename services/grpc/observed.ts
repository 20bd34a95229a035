import { type handleUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js';
import type { Freshness, Origin } from '../domain/binding.js';
import { HoldfastError } from '../domain/error.js';
import type { Logger } from '../runtime/log.js';
import { type StatusError, toStatus } from './status.js';

/** Where requests and answers are counted. */
export interface RequestMetrics {
  observeRequest(method: string, code: string, durationMs: number): void;
  countAnswer(origin: Origin, freshness: Freshness): void;
}

export interface Observer {
  readonly metrics: RequestMetrics;
  readonly log: Logger;
  /** Why requests cannot be answered yet, or undefined: until the relays are known, «no relay» would be a guess. */
  readonly notReady: () => string | undefined;
}

/** Answers one request: its errors become statuses, and how long it took is counted. */
export async function observe<T>(
  method: string,
  { metrics, log, notReady }: Observer,
  handle: () => Promise<T>,
): Promise<{ readonly value: T } | { readonly error: StatusError }> {
  const startedAtMs = performance.now();
  try {
    const reason = notReady();
    if (reason !== undefined) throw new HoldfastError('unavailable', reason);
    const value = await handle();
    metrics.observeRequest(method, 'OK', performance.now() - startedAtMs);
    return { value };
  } catch (thrown) {
    const error = toStatus(thrown, log);
    metrics.observeRequest(method, status[error.code], performance.now() - startedAtMs);
    return { error };
  }
}

/** A unary method whose work is a plain function of the request. */
export function unary<Request, Response>(
  method: string,
  observer: Observer,
  handle: (request: Request) => Promise<Response>,
): handleUnaryCall<Request, Response> {
  return async (call, callback: sendUnaryData<Response>) => {
    const outcome = await observe(method, observer, () => handle(call.request));
    if ('error' in outcome) callback(outcome.error, null);
    else callback(null, outcome.value);
  };
}
