import { EventEmitter } from 'node:events';
import {
  Metadata,
  type MethodDefinition,
  type ServiceDefinition,
  type ServiceError,
  status,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import type { SimProcess } from '../kernel/process.js';
import type { ServerSide } from './rpc-connection.js';

type Definition = MethodDefinition<unknown, unknown>;

/** Which call it is, for faults that hit some. */
export interface CallSite {
  readonly client: SimProcess;
  readonly server: SimProcess;
  /** `/etcdserverpb.KV/Txn` */
  readonly path: string;
}

/** What a fault makes of a call: it is answered with this status, before or after the request was carried out. */
export interface InjectedStatus {
  readonly code: status;
  readonly details: string;
  readonly isDone: boolean;
}

export type StatusFault = (site: CallSite) => InjectedStatus | undefined;

/** The gRPC services of one address. */
export class RpcServer {
  readonly #methods = new Map<string, { readonly definition: Definition; readonly handle: unknown }>();

  constructor(
    readonly process: SimProcess,
    readonly address: string,
    /** Where the ends of calls are told when `process` is dead: what it served is not lost with it. */
    readonly survivor?: SimProcess,
  ) {}

  add(definition: ServiceDefinition, methods: UntypedServiceImplementation): void {
    for (const [name, method] of Object.entries(definition)) {
      this.#methods.set(method.path, { definition: method as Definition, handle: methods[name] });
    }
  }

  /** Begins to serve a call. */
  accept(side: ServerSide, path: string, metadata: Metadata): ServerCall {
    const method = this.#methods.get(path);
    const call = new ServerCall(side, path, metadata, method?.definition);
    if (!method || typeof method.handle !== 'function') {
      call.finish(status.UNIMPLEMENTED, `The server does not implement the method ${path}`);
      return call;
    }
    const handle = method.handle as (call: ServerCall, reply?: unknown) => void;
    if (method.definition.requestStream) {
      handle(call);
    } else if (method.definition.responseStream) {
      call.once('data', (request) => handle(Object.assign(call, { request })));
    } else {
      call.once('data', (request) =>
        handle(Object.assign(call, { request }), (error: Partial<ServiceError> | null, value: unknown) =>
          call.reply(error, value),
        ),
      );
    }
    return call;
  }
}

/** In place of grpc-js's server calls, as far as the services use them: one for all four kinds. */
export class ServerCall extends EventEmitter {
  request: unknown;
  #isOver = false;
  cancelled = false;

  constructor(
    private readonly side: ServerSide,
    readonly path: string,
    readonly metadata: Metadata,
    private readonly definition: Definition | undefined,
  ) {
    super();
    // As in grpc-js, whoever serves the call ends it by emitting an error.
    this.on('error', (error: Partial<ServiceError>) =>
      this.finish(error.code ?? status.UNKNOWN, error.details ?? error.message ?? ''),
    );
  }

  /** @param bytes of a request */
  receive(bytes: Buffer): void {
    if (!this.#isOver && this.definition) {
      this.emit('data', this.definition.requestDeserialize(bytes));
    }
  }

  /** The client sends nothing more. */
  receiveEnd(): void {
    if (!this.#isOver) {
      this.emit('end');
    }
  }

  /** The client, or the connection, is gone. */
  cancel(): void {
    if (!this.#isOver) {
      this.#isOver = true;
      this.cancelled = true;
      this.emit('cancelled');
      this.emit('close');
    }
  }

  write(response: unknown): boolean {
    return (
      this.#isOver || !this.definition || this.side.sendMessage(this.definition.responseSerialize(response))
    );
  }

  end(): void {
    this.finish(status.OK, '');
  }

  reply(error: Partial<ServiceError> | null, value: unknown): void {
    if (error) {
      this.finish(error.code ?? status.UNKNOWN, error.details ?? error.message ?? '', error.metadata);
    } else {
      this.write(value);
      this.end();
    }
  }

  finish(code: status, details: string, metadata = new Metadata()): void {
    if (!this.#isOver) {
      this.#isOver = true;
      this.side.sendStatus({ code, details, metadata });
    }
  }

  getPeer(): string {
    return this.side.peer;
  }

  getAuthContext(): object {
    return {};
  }

  pause(): void {}

  resume(): void {}
}
