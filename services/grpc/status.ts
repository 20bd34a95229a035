import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { ErrorInfo, RetryInfo } from '../../proto/generated/google/rpc/error_details.js';
import { Status } from '../../proto/generated/google/rpc/status.js';
import type { Error as StreamedError } from '../../proto/generated/holdfast/v1/selection.js';
import { type ErrorCode, HoldfastError } from '../domain/error.js';
import type { Logger } from '../runtime/log.js';

/** An error as clients see it. */
export interface Failure {
  readonly code: status;
  readonly message: string;
  /** UPPER_SNAKE_CASE; `proto/holdfast/v1/selection.proto` lists all. */
  readonly reason: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** The least time before the same replica is asked again, ms; undefined if waiting does not help. */
  readonly retryDelayMs?: number | undefined;
}

type Kind = Pick<Failure, 'code' | 'reason' | 'retryDelayMs'>;

const kinds: Readonly<Record<ErrorCode, Kind>> = {
  'invalid-argument': { code: status.INVALID_ARGUMENT, reason: 'INVALID_FIELD' },
  'not-found': { code: status.NOT_FOUND, reason: 'CALL_NOT_BOUND' },
  'unknown-relay': { code: status.NOT_FOUND, reason: 'RELAY_NOT_REGISTERED' },
  'failed-precondition': { code: status.FAILED_PRECONDITION, reason: 'GENERATION_MISMATCH' },
  'relays-full': { code: status.RESOURCE_EXHAUSTED, reason: 'RELAYS_FULL' },
  // A relay that lost its registration has it back within such a time, if it is well.
  'no-relay': { code: status.UNAVAILABLE, reason: 'NO_RELAY', retryDelayMs: 200 },
  'relay-awaited': { code: status.UNAVAILABLE, reason: 'RELAY_AWAITED', retryDelayMs: 200 },
  unavailable: { code: status.UNAVAILABLE, reason: 'ETCD_UNAVAILABLE', retryDelayMs: 200 },
  // The time of a few commits.
  overloaded: { code: status.UNAVAILABLE, reason: 'OVERLOADED', retryDelayMs: 50 },
  'not-ready': { code: status.UNAVAILABLE, reason: 'NOT_READY', retryDelayMs: 500 },
};

/** Messages may quote a Call-ID of 16 KiB, which would exceed what peers accept as headers. */
const maxMessageLength = 1024;

/** An unexpected error is logged in full; clients are told only that there was one. */
export function toFailure(error: unknown, log: Logger): Failure {
  if (error instanceof HoldfastError) {
    const { code, metadata } = error;
    const message = error.message.slice(0, maxMessageLength);
    return { ...kinds[code], message, metadata };
  }
  log.error({ err: error }, 'unexpected error');
  const message = 'unexpected error; see the log of this replica';
  return { code: status.INTERNAL, reason: 'INTERNAL', message, metadata: {} };
}

export interface StatusWithDetails extends Partial<ServiceError> {
  readonly code: status;
  readonly details: string;
  readonly metadata: Metadata;
}

const domain = 'holdfast';
/** Where gRPC carries a `google.rpc.Status` with its details. */
const detailsKey = 'grpc-status-details-bin';

/** As the status of a call. */
export function statusOf(failure: Failure): StatusWithDetails {
  const { code, message, reason, retryDelayMs } = failure;
  const details = [
    any('google.rpc.ErrorInfo', ErrorInfo.encode({ reason, domain, metadata: { ...failure.metadata } })),
  ];
  if (retryDelayMs !== undefined) {
    details.push(any('google.rpc.RetryInfo', RetryInfo.encode({ retryDelay: durationOf(retryDelayMs) })));
  }
  const metadata = new Metadata();
  metadata.set(detailsKey, Buffer.from(Status.encode({ code, message, details }).finish()));
  return { code, details: message, metadata };
}

/** As the error of one request in a stream. */
export function streamedError({ code, message, reason, metadata, retryDelayMs }: Failure): StreamedError {
  const retryDelay = retryDelayMs === undefined ? undefined : durationOf(retryDelayMs);
  return { code, message, reason, metadata: { ...metadata }, retryDelay };
}

function any(type: string, encoded: { finish(): Uint8Array }) {
  return { typeUrl: `type.googleapis.com/${type}`, value: Buffer.from(encoded.finish()) };
}

function durationOf(ms: number) {
  return { seconds: BigInt(Math.floor(ms / 1000)), nanos: (ms % 1000) * 1_000_000 };
}
