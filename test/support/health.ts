import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { type Client, credentials, loadPackageDefinition, type ServiceError } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { protoPath } from 'grpc-health-check';
import type { Scope } from './process.js';
import { asks } from './replica.js';

/** Clients made from the public .proto files alone, like those of a third party. */
type Stub = Client & Record<string, (...args: never[]) => unknown>;

function stub(path: string, service: string, address: string): Stub {
  const loaded = loadPackageDefinition(loadSync(path, { keepCase: true, enums: String, oneofs: true }));
  let at: unknown = loaded;
  for (const name of service.split('.')) {
    at = (at as Record<string, unknown>)[name];
  }
  const Constructor = at as new (address: string, security: unknown) => Stub;
  return new Constructor(address, credentials.createInsecure());
}

/** A client of `grpc.health.v1.Health`, like that of Kubernetes and load balancers. */
export class HealthClient {
  readonly #stub: Stub;

  constructor(scope: Scope, address: string) {
    this.#stub = stub(protoPath, 'grpc.health.v1.Health', address);
    scope.teardown(() => this.#stub.close());
  }

  async check(service: string): Promise<string> {
    const reply = await asks(this.#stub, this.#stub['check'] as never, { service });
    return (reply as { status: string }).status;
  }

  /** Collects the statuses until the stream ends. */
  watch(service: string): { readonly statuses: string[]; cancel(): void } {
    const watching = (
      this.#stub['watch'] as (request: object) => NodeJS.ReadableStream & { cancel(): void }
    ).call(this.#stub, { service });
    const statuses: string[] = [];
    watching.on('data', ({ status }: { status: string }) => statuses.push(status));
    watching.on('error', () => {});
    return { statuses, cancel: () => watching.cancel() };
  }
}

export interface ReflectionReply {
  readonly list_services_response?: { readonly service: readonly { readonly name: string }[] };
  readonly file_descriptor_response?: { readonly file_descriptor_proto: readonly Buffer[] };
  readonly error_response?: { readonly error_code: number; readonly error_message: string };
}

/** Sends one request to server reflection, like grpcurl. */
export async function reflect(
  scope: Scope,
  address: string,
  version: 'v1' | 'v1alpha',
  request: object,
): Promise<ReflectionReply> {
  const folder = dirname(createRequire(import.meta.url).resolve('@grpc/reflection/package.json'));
  const path = join(folder, 'build/proto/grpc/reflection', version, 'reflection.proto');
  const client = stub(path, `grpc.reflection.${version}.ServerReflection`, address);
  scope.teardown(() => client.close());
  const stream = (client['ServerReflectionInfo'] as () => NodeJS.ReadWriteStream).call(client);
  return new Promise((resolve, reject) => {
    stream.on('data', (reply: ReflectionReply) => resolve(reply));
    stream.on('error', (error: ServiceError) => reject(error));
    stream.write(request as never);
    stream.end();
  });
}
