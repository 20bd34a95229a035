import type { Http2Server, Http2Session } from 'node:http2';
import type { Socket } from 'node:net';
import { Server, ServerCredentials, type ServiceDefinition } from '@grpc/grpc-js';
import { HealthImplementation, service as healthService } from 'grpc-health-check';
import { type RelayServiceServer, RelayServiceService } from '../../proto/generated/holdfast/v1/relay.js';
import type { Clock } from '../runtime/clock.js';
import type { Authorization } from './authorization.js';
import { Listener, type ListenerDeps } from './listener.js';
import { addReflection, reflectionPaths } from './reflection.js';
import type { ServedService } from './selection-service.js';
import { StreamGuard } from './stream-guard.js';

export interface GrpcServerDeps extends ListenerDeps {
  /** Which clients may call which methods; without it every client may call all of them. */
  readonly authorization: Authorization | undefined;
  /** Clients are told to reconnect after about this long; 0 is never. */
  readonly maxConnectionAgeMs: number;
  readonly selection: ServedService;
  readonly relays: RelayServiceServer;
}

/** How long a connection that is too old may go on before it is cut: long-lived streams would hold it forever. */
const connectionGraceMs = 30_000;

const services = ['', 'holdfast.v1.SelectionService', 'holdfast.v1.RelayService'];

/** Serves both services, `grpc.health.v1.Health` and server reflection. */
export class GrpcServer {
  readonly #server: Server;
  readonly #health = new HealthImplementation(
    Object.fromEntries(services.map((name) => [name, 'NOT_SERVING'])),
  );
  readonly #listener: Listener;
  readonly #authorization: Authorization | undefined;
  readonly #guard: StreamGuard;
  readonly #sockets = new WeakMap<Http2Session, Socket>();
  readonly #connections = new Set<Socket>();
  readonly #clock: Clock;

  constructor({ selection, relays, authorization, maxConnectionAgeMs, ...listening }: GrpcServerDeps) {
    this.#listener = new Listener(listening);
    this.#clock = listening.clock;
    this.#authorization = authorization;
    this.#server = new Server({
      // The largest request is a Call-ID with some names and labels.
      'grpc.max_receive_message_length': 64 * 1024,
      // What a peer that does not read can leave in a session, MB.
      'grpc-node.max_session_memory': 10,
      // Its bookkeeping adds a tenth to the cost of an answer, and nothing reads it.
      'grpc.enable_channelz': 0,
      // A proxy that vanished without a FIN must not hold its streams forever.
      'grpc.keepalive_time_ms': 30_000,
      'grpc.keepalive_timeout_ms': 10_000,
      ...(maxConnectionAgeMs > 0
        ? {
            'grpc.max_connection_age_ms': maxConnectionAgeMs,
            'grpc.max_connection_age_grace_ms': connectionGraceMs,
          }
        : {}),
      interceptors: authorization ? [authorization.interceptor] : [],
    });
    this.#server.addService(selection.definition, selection.methods);
    this.#server.addService(RelayServiceService, relays);
    this.#health.addToServer(this.#server);
    addReflection(this.#server);
    this.#guard = new StreamGuard({
      streamingPaths: new Set([
        ...[selection.definition, RelayServiceService, healthService].flatMap(streamingPathsOf),
        ...reflectionPaths,
      ]),
      onActivity: (session, busy) =>
        this.#onSocketOf(session, (socket) => this.#listener.setBusy(socket, busy)),
      cut: (session) => this.#onSocketOf(session, (socket) => socket.destroy()),
      clock: listening.clock,
      log: listening.log,
    });
  }

  /** The listening address, with the actual port. */
  get address(): string {
    return this.#listener.address;
  }

  /** @throws Error naming the address, if it cannot be listened on */
  start(): Promise<void> {
    // Injected connections are already decrypted.
    const injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
    const http2 = http2ServerOf(this.#server);
    this.#guard.guard(http2);
    let injected: Socket | undefined;
    http2.on('session', (session) => {
      if (injected) {
        this.#sockets.set(session, injected);
      }
    });
    return this.#listener.start((socket) => {
      this.#connections.add(socket);
      socket.once('close', () => this.#connections.delete(socket));
      this.#authorization?.know(socket);
      // The session begins before this returns.
      injected = socket;
      injector.injectConnection(socket);
      injected = undefined;
    });
  }

  /** Sets what health checks report. */
  setServing(serving: boolean): void {
    for (const name of services) {
      this.#health.setStatus(name, serving ? 'SERVING' : 'NOT_SERVING');
    }
  }

  /** Takes no new requests, lets those in progress finish for at most `graceMs`, then cuts what is left. */
  async stop(graceMs: number): Promise<void> {
    this.setServing(false);
    this.#listener.stop();
    // Long-lived streams (watches, health) end only when their connections are cut. forceShutdown() cannot do that: it
    // finds no connections without channelz, and its CANCELLED would tell clients not to retry.
    const cancel = this.#clock.after(graceMs, () => {
      for (const socket of this.#connections) {
        socket.destroy();
      }
    });
    // From Node 24 on a closing server closes its sessions, and tryShutdown() takes these for ended while requests are
    // still under way: only a closed connection has answered all of them.
    const closed = [...this.#connections].map(
      (socket) => new Promise<void>((resolve) => socket.once('close', () => resolve())),
    );
    await new Promise<void>((resolve) => this.#server.tryShutdown(() => resolve()));
    await Promise.all(closed);
    this.#guard.stop();
    cancel();
  }

  /** Of a session; its own `socket` is a stand-in. */
  #onSocketOf(session: Http2Session, act: (socket: Socket) => void): void {
    const socket = this.#sockets.get(session);
    if (socket) {
      act(socket);
    }
  }
}

/** The HTTP/2 server below a gRPC server, which gives it to nobody. It has one as soon as it has a connection injector. */
function http2ServerOf(server: Server): Http2Server {
  const { http2Servers } = server as unknown as { readonly http2Servers?: ReadonlyMap<Http2Server, unknown> };
  const [http2] = http2Servers?.keys() ?? [];
  if (!http2) {
    throw new Error(
      'grpc-js has changed: its HTTP/2 server, whose streams must be bounded, is not where it was',
    );
  }
  return http2;
}

function streamingPathsOf(service: ServiceDefinition): string[] {
  return Object.values(service)
    .filter(({ requestStream, responseStream }) => requestStream || responseStream)
    .map(({ path }) => path);
}
