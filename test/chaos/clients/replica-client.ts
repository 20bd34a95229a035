import { type ClientDuplexStream, credentials, Metadata, type ServiceError, status } from '@grpc/grpc-js';
import {
  type Binding,
  Freshness,
  LookupRequest,
  MoveRequest,
  Origin,
  SelectionServiceClient,
  SelectRequest,
  type SelectResponse,
  type SelectStreamRequest,
  type SelectStreamResponse,
} from '../../../proto/generated/holdfast/v1/selection.js';
import type { Outcome } from '../record/recorder.js';
import type { Answer } from '../record/records.js';

const deadlineMs = 2500;

/** Statuses that leave open whether the request took effect. */
const unknownCodes = new Set<number>([
  status.UNAVAILABLE,
  status.DEADLINE_EXCEEDED,
  status.CANCELLED,
  status.UNKNOWN,
  status.INTERNAL,
]);

const origins: Partial<Record<Origin, NonNullable<Answer['origin']>>> = {
  [Origin.NEW]: 'new',
  [Origin.EXISTING]: 'existing',
  [Origin.MOVED]: 'moved',
};
const freshnesses: Partial<Record<Freshness, Answer['freshness']>> = {
  [Freshness.STALE]: 'stale',
  [Freshness.PROVISIONAL]: 'provisional',
};

interface Pending {
  readonly settle: (outcome: Outcome) => void;
  readonly timer: NodeJS.Timeout;
}

/** Calls one replica over gRPC. Returns an outcome instead of throwing. */
export class ReplicaClient {
  readonly #client: SelectionServiceClient;
  #stream: ClientDuplexStream<SelectStreamRequest, SelectStreamResponse> | undefined;
  readonly #pending = new Map<string, Pending>();

  constructor(address: string) {
    this.#client = new SelectionServiceClient(address, credentials.createInsecure(), {
      // A killed replica is back within seconds.
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.min_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 500,
    });
  }

  close(): void {
    this.#stream?.cancel();
    this.#client.close();
  }

  select(callId: string, requestId: string, inDialog: boolean): Promise<Outcome> {
    const request = SelectRequest.fromPartial({ callId, requestId, inDialog });
    return this.#unary((metadata, options, done) =>
      this.#client.select(request, metadata, options, (error, reply) =>
        done(error, () => ({ outcome: 'ok', answer: answerOf(reply) })),
      ),
    );
  }

  /** The same over the one stream of this client. */
  selectInStream(callId: string, requestId: string, inDialog: boolean): Promise<Outcome> {
    return new Promise((settle) => {
      const timer = setTimeout(() => {
        this.#settle(requestId, { outcome: 'unknown', reason: 'no reply in the stream' });
        // A silent stream is closed, as a proxy would do.
        this.#stream?.cancel();
      }, deadlineMs);
      this.#pending.set(requestId, { settle, timer });
      const stream = this.#openStream();
      stream.write({ request: SelectRequest.fromPartial({ callId, requestId, inDialog }) });
    });
  }

  lookup(callId: string): Promise<Outcome> {
    return this.#unary((metadata, options, done) =>
      this.#client.lookup(LookupRequest.fromPartial({ callId }), metadata, options, (error, reply) =>
        done(error, () => ({ outcome: 'ok', answer: answerOf(reply) })),
      ),
    );
  }

  move(callId: string, generation: number, requestId: string): Promise<Outcome> {
    const request = MoveRequest.fromPartial({
      callId,
      generation: BigInt(generation),
      requestId,
      reason: 'chaos',
    });
    return this.#unary((metadata, options, done) =>
      this.#client.move(request, metadata, options, (error, reply) =>
        done(error, () => ({ outcome: 'ok', answer: answerOf({ binding: reply.binding }) })),
      ),
    );
  }

  release(callId: string): Promise<Outcome> {
    const request = { callId, viaBranch: '', set: '', beginning: '' };
    return this.#unary((metadata, options, done) =>
      this.#client.release(request, metadata, options, (error, reply) =>
        done(error, () => ({ outcome: 'ok', found: reply.found })),
      ),
    );
  }

  #unary(
    send: (
      metadata: Metadata,
      options: { deadline: number },
      done: (error: ServiceError | null, read: () => Outcome) => void,
    ) => unknown,
  ): Promise<Outcome> {
    return new Promise((resolve) => {
      send(new Metadata(), { deadline: Date.now() + deadlineMs }, (error, read) =>
        resolve(error ? failed(error.code, error.details) : read()),
      );
    });
  }

  #openStream(): ClientDuplexStream<SelectStreamRequest, SelectStreamResponse> {
    if (this.#stream) {
      return this.#stream;
    }
    const stream = this.#client.selectStream();
    this.#stream = stream;
    const end = (reason: string) => {
      if (this.#stream === stream) {
        this.#stream = undefined;
      }
      for (const requestId of [...this.#pending.keys()]) {
        this.#settle(requestId, { outcome: 'unknown', reason });
      }
    };
    stream.on('error', (error: ServiceError) => end(error.details));
    stream.on('end', () => end('the stream ended'));
    stream.on('data', ({ requestId, result }: SelectStreamResponse) => {
      if (result?.$case === 'response') {
        this.#settle(requestId, { outcome: 'ok', answer: answerOf(result.value) });
      } else if (result?.$case === 'error') {
        this.#settle(requestId, failed(result.value.code, result.value.message));
      }
    });
    return stream;
  }

  #settle(requestId: string, outcome: Outcome): void {
    const pending = this.#pending.get(requestId);
    if (!pending) {
      return;
    }
    this.#pending.delete(requestId);
    clearTimeout(pending.timer);
    pending.settle(outcome);
  }
}

function failed(code: number, details: string): Outcome {
  const reason = `${status[code] ?? code}: ${details}`.slice(0, 160);
  return { outcome: unknownCodes.has(code) ? 'unknown' : 'refused', reason };
}

function answerOf(reply: Partial<SelectResponse> & { readonly binding: Binding | undefined }): Answer {
  const { binding, origin, freshness } = reply;
  const named = origin === undefined ? undefined : origins[origin];
  return {
    relay: binding?.relay?.id ?? '',
    instance: binding?.relay?.instance ?? '',
    generation: Number(binding?.generation ?? 0),
    createdAtMs: binding?.createTime?.getTime() ?? 0,
    expiresAtMs: binding?.expireTime?.getTime() ?? 0,
    released: binding?.released ?? false,
    ...(named ? { origin: named } : {}),
    // A move answers with what it has just written.
    freshness: (freshness === undefined ? undefined : freshnesses[freshness]) ?? 'fresh',
  };
}
