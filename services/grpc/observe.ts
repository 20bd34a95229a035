import { type handleUnaryCall, type sendUnaryData, status } from '@grpc/grpc-js';
import type { Binding } from '../domain/binding.js';
import { HoldfastError } from '../domain/error.js';
import type { Clock } from '../runtime/clock.js';
import type { Logger } from '../runtime/log.js';
import { inTrace, traceIdOf } from '../runtime/trace.js';
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
  request?: unknown,
): Outcome<T> | Promise<Outcome<T>> {
  const startedAtMs = clock.monotonicMs();
  const answered = (result: string, value?: T) => {
    const durationMs = clock.monotonicMs() - startedAtMs;
    metrics.observeRequest(method, result, durationMs);
    if (log.isLevelEnabled('debug')) {
      log.debug(
        { ...callFields(request, value), method, result, ms: Math.round(durationMs) },
        'request answered',
      );
    }
  };
  const succeeded = (value: T): Outcome<T> => {
    answered('ok', value);
    return { value };
  };
  const failed = (thrown: unknown): Outcome<T> => {
    const failure = toFailure(thrown, log);
    onThrown?.(thrown);
    answered(resultOf(failure.code));
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

/** What a line of the log has of the call that a request is about, and of the relay in the answer, where they have them. */
function callFields(request: unknown, value: unknown) {
  const { callId, requestId } = (request ?? {}) as { readonly callId?: string; readonly requestId?: string };
  const { binding } = (value ?? {}) as { readonly binding?: Partial<Binding> };
  const { relayId: relay, generation } = binding ?? {};
  return { callId, requestId: requestId || undefined, relay, generation: generation && Number(generation) };
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
    const outcome = inTrace(traceIdOf(call.metadata.get('traceparent')[0]), () =>
      observe(
        method,
        observer,
        () => handle(request, call),
        (thrown) => onThrown?.(thrown, request),
        request,
      ),
    );
    if (outcome instanceof Promise) {
      void outcome.then(reply);
    } else {
      reply(outcome);
    }
  };
}
