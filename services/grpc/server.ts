import { Server, ServerCredentials } from '@grpc/grpc-js';
import { ReflectionService } from '@grpc/reflection';
import { HealthImplementation } from 'grpc-health-check';
import { type RelayServiceServer, RelayServiceService } from '../../proto/generated/holdfast/v1/relay.js';
import { type Address, formatAddress, listenError } from '../runtime/address.js';
import { describedServices } from './descriptors.js';
import type { ServedService } from './selection-service.js';

export interface GrpcServerParts {
  readonly listen: Address;
  readonly selection: ServedService;
  readonly relays: RelayServiceServer;
}

const services = ['', 'holdfast.v1.SelectionService', 'holdfast.v1.RelayService'];

/** Serves both services, `grpc.health.v1.Health` and server reflection. */
export class GrpcServer {
  readonly #server: Server;
  readonly #health = new HealthImplementation(
    Object.fromEntries(services.map((name) => [name, 'NOT_SERVING'])),
  );
  readonly #listen: Address;
  #port = 0;

  constructor({ listen, selection, relays }: GrpcServerParts) {
    this.#listen = listen;
    this.#server = new Server({
      // The largest request is a Call-ID, a few names and labels.
      'grpc.max_receive_message_length': 64 * 1024,
      'grpc.max_concurrent_streams': 10_000,
      // Its bookkeeping per call costs a tenth of an answer, and nobody reads it.
      'grpc.enable_channelz': 0,
      // A proxy that vanished without a FIN must not hold its streams for ever.
      'grpc.keepalive_time_ms': 30_000,
      'grpc.keepalive_timeout_ms': 10_000,
    });
    this.#server.addService(selection.definition, selection.methods);
    this.#server.addService(RelayServiceService, relays);
    this.#health.addToServer(this.#server);
    new ReflectionService(describedServices()).addToServer(this.#server);
  }

  /** The address that is listened on, with the real port. */
  get address(): string {
    return formatAddress({ host: this.#listen.host, port: this.#port });
  }

  /** @throws Error naming the address, if it cannot be listened on */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(
        formatAddress(this.#listen),
        ServerCredentials.createInsecure(),
        (error, port) => {
          if (error) return reject(listenError('gRPC (HOLDFAST_GRPC_LISTEN)', this.#listen, error));
          this.#port = port;
          resolve();
        },
      );
    });
  }

  /** What health checks hear. */
  setServing(serving: boolean): void {
    for (const name of services) this.#health.setStatus(name, serving ? 'SERVING' : 'NOT_SERVING');
  }

  /** Takes no new request, answers those under way for at most `graceMs`, then cuts what is left. */
  async stop(graceMs: number): Promise<void> {
    this.setServing(false);
    await new Promise<void>((resolve) => {
      // Streams that last (watches, health) end only when they are cut.
      const timer = setTimeout(() => this.#server.forceShutdown(), graceMs);
      this.#server.tryShutdown(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}
