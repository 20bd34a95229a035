import type { Socket } from 'node:net';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation } from 'grpc-health-check';
import { type RelayServiceServer, RelayServiceService } from '../../proto/generated/holdfast/v1/relay.js';
import type { Clock } from '../runtime/clock.js';
import type { Authorization } from './authorization.js';
import { describedServices } from './descriptors.js';
import { Listener, type ListenerDeps } from './listener.js';
import type { ServedService } from './selection-service.js';

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
  readonly #connections = new Set<Socket>();
  readonly #clock: Clock;

  constructor({ selection, relays, authorization, maxConnectionAgeMs, ...listening }: GrpcServerDeps) {
    this.#listener = new Listener(listening);
    this.#clock = listening.clock;
    this.#authorization = authorization;
    this.#server = new Server({
      // The largest request is a Call-ID with some names and labels.
      'grpc.max_receive_message_length': 64 * 1024,
      'grpc.max_concurrent_streams': 10_000,
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
    new ReflectionService(describedServices()).addToServer(this.#server);
  }

  /** The listening address, with the actual port. */
  get address(): string {
    return this.#listener.address;
  }

  /** @throws Error naming the address, if it cannot be listened on */
  start(): Promise<void> {
    // Injected connections are already decrypted.
    const injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
    return this.#listener.start((socket) => {
      this.#connections.add(socket);
      socket.once('close', () => this.#connections.delete(socket));
      this.#authorization?.know(socket);
      injector.injectConnection(socket);
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
    cancel();
  }
}
