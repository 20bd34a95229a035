import { type ServiceError, status } from '@grpc/grpc-js';
import { type ErrorCode, HoldfastError } from '../domain/error.js';
import type { Logger } from '../runtime/log.js';

const codes: Record<ErrorCode, status> = {
  'invalid-argument': status.INVALID_ARGUMENT,
  'not-found': status.NOT_FOUND,
  'failed-precondition': status.FAILED_PRECONDITION,
  'relays-full': status.RESOURCE_EXHAUSTED,
  'no-relay': status.UNAVAILABLE,
  unavailable: status.UNAVAILABLE,
  overloaded: status.UNAVAILABLE,
};

export type StatusError = Partial<ServiceError> & { readonly code: status; readonly details: string };

/** What a client is told of an error. One that nobody meant to throw is logged whole and told as INTERNAL. */
export function toStatus(error: unknown, log: Logger): StatusError {
  if (error instanceof HoldfastError) {
    return { code: codes[error.code], details: error.message };
  }
  log.error({ err: error }, 'unexpected error');
  return { code: status.INTERNAL, details: 'unexpected error; see the log of this replica' };
}
