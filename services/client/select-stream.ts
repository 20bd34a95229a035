import { type ClientDuplexStream, type StatusObject, status } from '@grpc/grpc-js';
import {
  type SelectRequest,
  type SelectResponse,
  SelectStreamRequest,
  type SelectStreamResponse,
} from '../../proto/generated/holdfast/v1/selection.js';
import { completeSelect, type Fields } from './requests.js';
import type { Retry } from './retry.js';
import { HoldfastRpcError } from './rpc-error.js';
import type { Server } from './servers.js';

/** Requests of one stream without a reply; more are refused at once. */
const maxPending = 10_000;

/** `Select` requests over long-lived streams, one per server: cheaper than a call each. */
export class SelectStream {
  readonly #retry: Retry;
  readonly #timeoutMs: number;
  readonly #streams = new Map<Server, OneStream>();
  #closed = false;

  /** Made by `HoldfastClient.selectStream()`. */
  constructor(retry: Retry, timeoutMs: number) {
    this.#retry = retry;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * As `HoldfastClient.select`. A stream that breaks is opened again, and its requests are sent again.
   * @throws HoldfastRpcError
   */
  select(request: Fields<SelectRequest>): Promise<SelectResponse> {
    const message = completeSelect(request);
    return this.#retry.run((server) => this.#on(server).ask(message));
  }

  /** Takes no more requests; those that were sent still get their replies. */
  close(): void {
    this.#closed = true;
    for (const stream of this.#streams.values()) {
      stream.end();
    }
  }

  #on(server: Server): OneStream {
    if (this.#closed) {
      throw new HoldfastRpcError('this stream is closed', { code: status.CANCELLED });
    }
    let stream = this.#streams.get(server);
    if (!stream) {
      const opened = new OneStream(server, this.#timeoutMs, () => {
        if (this.#streams.get(server) === opened) {
          this.#streams.delete(server);
        }
      });
      stream = opened;
      this.#streams.set(server, stream);
    }
    return stream;
  }
}

interface Pending {
  readonly resolve: (response: SelectResponse) => void;
  readonly reject: (error: HoldfastRpcError) => void;
  readonly timer: NodeJS.Timeout;
}

/** One stream to one server, until it ends. */
class OneStream {
  readonly #server: Server;
  readonly #timeoutMs: number;
  readonly #stream: ClientDuplexStream<SelectStreamRequest, SelectStreamResponse>;
  /** By request id. */
  readonly #pending = new Map<string, Pending>();
  #receivedAtMs = performance.now();

  constructor(server: Server, timeoutMs: number, onEnd: () => void) {
    this.#server = server;
    this.#timeoutMs = timeoutMs;
    this.#stream = server.selection.selectStream();
    this.#stream.on('data', (reply: SelectStreamResponse) => this.#receive(reply));
    // The status says it all.
    this.#stream.on('error', () => {});
    this.#stream.on('status', (ended: StatusObject) => {
      onEnd();
      // It ended in order, or was canceled here: either way another server can answer what is pending.
      const inOrder = ended.code === status.OK || ended.code === status.CANCELLED;
      this.#fail(inOrder ? { ...ended, code: status.UNAVAILABLE, details: 'the stream ended' } : ended);
    });
  }

  ask(request: SelectRequest): Promise<SelectResponse> {
    const { requestId } = request;
    const { target: server } = this.#server;
    if (this.#pending.size >= maxPending) {
      const message = `this stream already has ${maxPending} requests without a reply`;
      throw new HoldfastRpcError(message, { code: status.RESOURCE_EXHAUSTED, server });
    }
    if (this.#pending.has(requestId)) {
      const message = `request_id: ${JSON.stringify(requestId)} is already in use on this stream`;
      throw new HoldfastRpcError(message, { code: status.INVALID_ARGUMENT, server });
    }
    return new Promise((resolve, reject) => {
      const sentAtMs = performance.now();
      const timer = setTimeout(() => this.#timeOut(requestId, sentAtMs), this.#timeoutMs);
      this.#pending.set(requestId, { resolve, reject, timer });
      this.#stream.write(SelectStreamRequest.fromPartial({ request }));
    });
  }

  end(): void {
    this.#stream.end();
  }

  #receive({ requestId, result }: SelectStreamResponse): void {
    this.#receivedAtMs = performance.now();
    const pending = this.#take(requestId);
    if (result?.$case === 'response') {
      pending?.resolve(result.value);
    } else if (result) {
      pending?.reject(HoldfastRpcError.fromStream(result.value, this.#server.target));
    }
  }

  #timeOut(requestId: string, sentAtMs: number): void {
    const message = `no reply within ${this.#timeoutMs} ms`;
    this.#take(requestId)?.reject(
      new HoldfastRpcError(message, { code: status.DEADLINE_EXCEEDED, server: this.#server.target }),
    );
    // Not one late reply, but silence: the other requests would time out as well.
    if (this.#receivedAtMs < sentAtMs) {
      this.#stream.cancel();
    }
  }

  #take(requestId: string): Pending | undefined {
    const pending = this.#pending.get(requestId);
    this.#pending.delete(requestId);
    clearTimeout(pending?.timer);
    return pending;
  }

  #fail(ended: StatusObject): void {
    for (const requestId of [...this.#pending.keys()]) {
      this.#take(requestId)?.reject(this.#server.errorOf(ended));
    }
  }
}
