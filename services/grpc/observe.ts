import { type handleUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js';
import { HoldfastError } from '../domain/error.js';
import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';
import type { FrontMetrics } from '../selection/front-metrics.js';
import type { Caller } from './certificate-names.js';
import { type Failure, statusOf, toFailure } from './status.js';

export interface Observer {
  readonly metrics: FrontMetrics;
  readonly clock: Clock;
  readonly log: Logger;
  /** Why requests cannot be answered yet, or undefined. Before the relays are known, "no relay" would be a guess. */
  readonly notReady: () => string | undefined;
}

export type Outcome<T> = { readonly value: T } | { readonly failure: Failure };

/**
 * Runs the handler of one request, turns what it throws into a failure, and records how long it took. A result that is
 * known at once is returned at once: a turn of the event loop would be a large part of what a request costs.
 */
export function observe<T>(
  method: string,
  { metrics, clock, log, notReady }: Observer,
  handle: () => T | Promise<T>,
  onThrown?: (thrown: unknown) => void,
): Outcome<T> | Promise<Outcome<T>> {
  const startedAtMs = clock.monotonicMs();
  const succeeded = (value: T): Outcome<T> => {
    metrics.observeRequest(method, 'ok', clock.monotonicMs() - startedAtMs);
    return { value };
  };
  const failed = (thrown: unknown): Outcome<T> => {
    const failure = toFailure(thrown, log);
    onThrown?.(thrown);
    metrics.observeRequest(method, resultOf(failure.code), clock.monotonicMs() - startedAtMs);
    return { failure };
  };
  try {
    const reason = notReady();
    if (reason !== undefined) {
      throw new HoldfastError('not-ready', reason);
    }
    const value = handle();
    return value instanceof Promise ? value.then(succeeded, failed) : succeeded(value);
  } catch (thrown) {
    return failed(thrown);
  }
}

/** A gRPC status as metrics name it, such as `unavailable`. */
export function resultOf(code: status): string {
  return status[code].toLowerCase();
}

/** A unary method whose work is a function from request to response. */
export function unary<Request, Response>(
  method: string,
  observer: Observer,
  handle: (request: Request, caller: Caller) => Response | Promise<Response>,
  onThrown?: (thrown: unknown, request: Request) => void,
): handleUnaryCall<Request, Response> {
  return (call, callback: sendUnaryData<Response>) => {
    const reply = (outcome: Outcome<Response>) => {
      if ('failure' in outcome) {
        callback(statusOf(outcome.failure), null);
      } else {
        callback(null, outcome.value);
      }
    };
    const { request } = call;
    const outcome = observe(
      method,
      observer,
      () => handle(request, call),
      (thrown) => onThrown?.(thrown, request),
    );
    if (outcome instanceof Promise) {
      void outcome.then(reply);
    } else {
      reply(outcome);
    }
  };
}
