import type { StatusObject, status } from '@grpc/grpc-js';
import type { Duration } from '../../proto/generated/google/protobuf/duration.js';
import { ErrorInfo, RetryInfo } from '../../proto/generated/google/rpc/error_details.js';
import { Status } from '../../proto/generated/google/rpc/status.js';
import type { Error as StreamedError } from '../../proto/generated/holdfast/v1/selection.js';
import { withoutEmptyNote } from '../domain/error.js';

interface RpcErrorOptions {
  readonly code: status;
  readonly reason?: string | undefined;
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  readonly retryDelayMs?: number | undefined;
  readonly server?: string | undefined;
}

/** A request that failed. `message` is for people; programs read the other fields. */
export class HoldfastRpcError extends Error {
  override readonly name = 'HoldfastRpcError';
  /** gRPC status code, such as `status.UNAVAILABLE`. */
  readonly code: status;
  /**
   * The cause, such as `NO_RELAY` or `OVERLOADED`: `proto/holdfast/v1/selection.proto` lists all. Undefined if the error
   * did not come from Holdfast: no connection, a deadline.
   */
  readonly reason: string | undefined;
  /** What the error is about, such as `set`, `relay`, `limit`, `field`. */
  readonly metadata: Readonly<Record<string, string>>;
  /** The least time to wait before the same server is asked again, ms; undefined if waiting does not help. */
  readonly retryDelayMs: number | undefined;
  /** The server that was asked last. */
  readonly server: string | undefined;

  constructor(message: string, { code, reason, metadata = {}, retryDelayMs, server }: RpcErrorOptions) {
    super(message);
    this.code = code;
    this.reason = reason;
    this.metadata = metadata;
    this.retryDelayMs = retryDelayMs;
    this.server = server;
  }

  /** The relay set that the error is about, if it is about one. */
  get set(): string | undefined {
    return this.metadata['set'];
  }

  /** From the status of a call. */
  static fromStatus(ended: StatusObject, server: string): HoldfastRpcError {
    const { code, details } = ended;
    return new HoldfastRpcError(withoutEmptyNote(details), { ...detailsOf(ended), code, server });
  }

  /** From the error of one request in a stream. */
  static fromStream(error: StreamedError, server: string): HoldfastRpcError {
    const { message, retryDelay, ...rest } = error;
    return new HoldfastRpcError(message, { ...rest, retryDelayMs: msOf(retryDelay), server });
  }
}

/** What `grpc-status-details-bin` says; nothing if it is missing or unreadable, which a proxy in between may cause. */
function detailsOf({ metadata }: StatusObject): Omit<RpcErrorOptions, 'code'> {
  const [bytes] = metadata?.get('grpc-status-details-bin') ?? [];
  if (!Buffer.isBuffer(bytes)) {
    return {};
  }
  try {
    const { details } = Status.decode(bytes);
    const find = (type: string) => details.find(({ typeUrl }) => typeUrl.endsWith(`/${type}`))?.value;
    const info = find('google.rpc.ErrorInfo');
    const retry = find('google.rpc.RetryInfo');
    return {
      ...(info && ErrorInfo.decode(info)),
      retryDelayMs: retry && msOf(RetryInfo.decode(retry).retryDelay),
    };
  } catch {
    return {};
  }
}

function msOf(duration: Duration | undefined): number | undefined {
  return duration && Number(duration.seconds) * 1000 + duration.nanos / 1_000_000;
}
