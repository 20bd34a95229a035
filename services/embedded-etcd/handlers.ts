import {
  type handleBidiStreamingCall,
  type handleUnaryCall,
  type ServerDuplexStream,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import type { Logger } from '../runtime/log.js';
import { EtcdError } from './errors.js';
import type { Sized } from './request-size.js';

/** Handles a method of a service `withSizedRequests`. What `answer` throws becomes a status and never ends the process. */
export function unary<Request, Response>(
  log: Logger,
  answer: (request: Sized<Request>) => Response,
): handleUnaryCall<Request, Response> {
  return (call, reply) => {
    let response: Response;
    try {
      response = answer(call.request as Sized<Request>);
    } catch (error) {
      reply(toStatus(error, log));
      return;
    }
    reply(null, response);
  };
}

/** What a duplex handler can do with its call. */
export interface Connection<Response> {
  readonly writable: boolean;
  write(response: Response): void;
}

/** The handler of one open duplex call. */
export interface Conversation<Request> {
  handle(request: Request): void;
  drained(): void;
  close(): void;
}

/** The open duplex calls of one server, which stopping must end because clients keep them open. */
export class OpenCalls {
  readonly #ends = new Set<() => void>();

  add(end: () => void): () => void {
    this.#ends.add(end);
    return () => this.#ends.delete(end);
  }

  endAll(): void {
    for (const end of [...this.#ends]) {
      end();
    }
  }
}

const serverStopped = new EtcdError(status.UNAVAILABLE, 'etcdserver: server stopped');

/**
 * A duplex call with back-pressure both ways: requests are not read while the client does not read the answers, so that
 * neither queue grows without bound.
 */
export function duplex<Request, Response>(
  log: Logger,
  calls: OpenCalls,
  open: (connection: Connection<Response>) => Conversation<Request>,
): handleBidiStreamingCall<Request, Response> {
  return (call) => {
    let writable = true;
    let ended = false;
    const conversation = open({
      get writable() {
        return writable && !ended;
      },
      write: (response) => {
        if (ended) {
          return;
        }
        writable = call.write(response);
        if (!writable) {
          call.pause();
        }
      },
    });
    const end = () => {
      if (ended) {
        return;
      }
      ended = true;
      forget();
      conversation.close();
    };
    const refuse = (error: unknown) => {
      end();
      fail(call, toStatus(error, log));
    };
    const forget = calls.add(() => refuse(serverStopped));
    const attempt = (task: () => void) => {
      if (ended) {
        return;
      }
      try {
        task();
      } catch (error) {
        refuse(error);
      }
    };
    call.on('data', (request: Request) => attempt(() => conversation.handle(request)));
    call.on('drain', () => {
      writable = true;
      attempt(() => conversation.drained());
      if (writable) {
        call.resume();
      }
    });
    call.on('end', () => {
      end();
      call.end();
    });
    call.on('cancelled', end);
    call.on('close', end);
    call.on('error', end);
  };
}

function fail<Request, Response>(
  call: ServerDuplexStream<Request, Response>,
  error: Partial<ServiceError>,
): void {
  call.emit('error', error);
}

function toStatus(error: unknown, log: Logger): Partial<ServiceError> {
  if (error instanceof EtcdError) {
    return { code: error.code, details: error.details, message: error.details };
  }
  log.error({ err: error }, 'embedded etcd: a request failed because of a defect');
  return { code: status.INTERNAL, details: 'internal error', message: 'internal error' };
}
