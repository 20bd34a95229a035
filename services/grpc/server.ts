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
  /** Who may ask what; without it whoever can connect may ask everything. */
  readonly authorization: Authorization | undefined;
  /** Clients are told to connect anew after about this long; 0 is never. */
  readonly maxConnectionAgeMs: number;
  readonly selection: ServedService;
  readonly relays: RelayServiceServer;
}

/** A connection that is too old is cut after this, whatever goes on over it: lasting streams would hold it for ever. */
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
      // The largest request is a Call-ID, a few names and labels.
      'grpc.max_receive_message_length': 64 * 1024,
      'grpc.max_concurrent_streams': 10_000,
      // Its bookkeeping per call costs a tenth of an answer, and nobody reads it.
      'grpc.enable_channelz': 0,
      // A proxy that vanished without a FIN must not hold its streams for ever.
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

  /** The address that is listened on, with the real port. */
  get address(): string {
    return this.#listener.address;
  }

  /** @throws Error naming the address, if it cannot be listened on */
  start(): Promise<void> {
    // What is injected is decrypted already.
    const injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
    return this.#listener.start((socket) => {
      this.#connections.add(socket);
      socket.once('close', () => this.#connections.delete(socket));
      this.#authorization?.know(socket);
      injector.injectConnection(socket);
    });
  }

  /** What health checks hear. */
  setServing(serving: boolean): void {
    for (const name of services) {
      this.#health.setStatus(name, serving ? 'SERVING' : 'NOT_SERVING');
    }
  }

  /** Takes no new request, answers those under way for at most `graceMs`, then cuts what is left. */
  async stop(graceMs: number): Promise<void> {
    this.setServing(false);
    this.#listener.stop();
    await new Promise<void>((resolve) => {
      // Streams that last (watches, health) end only when they are cut: not by forceShutdown(), which without channelz
      // knows of no connection, and whose CANCELLED would tell clients not to try again.
      const cancel = this.#clock.after(graceMs, () => {
        for (const socket of this.#connections) {
          socket.destroy();
        }
      });
      this.#server.tryShutdown(() => {
        cancel();
        resolve();
      });
    });
  }
}
