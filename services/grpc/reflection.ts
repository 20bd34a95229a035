import { createRequire } from 'node:module';
import type { handleBidiStreamingCall, MethodDefinition, Server } from '@grpc/grpc-js';
import { describedServices } from './descriptors.js';

type Method = MethodDefinition<unknown, unknown>;

/** A method of the library, as it registers it. */
interface Registered {
  readonly method: Method;
  readonly handle: handleBidiStreamingCall<unknown, unknown>;
}

const method = 'ServerReflectionInfo';

/** Of the versions that there are. */
export const reflectionPaths = ['v1', 'v1alpha'].map(
  (version) => `/grpc.reflection.${version}.ServerReflection/${method}`,
);

/**
 * Server reflection (gRPC's server-reflection.md). The library reads two `.proto` files and all descriptors before it serves: a
 * tenth of the time that a replica needs to start, so that is left to the first request.
 * @throws Error if the descriptors are missing from this installation
 */
export function addReflection(server: Server): void {
  const described = describedServices();
  let loaded: ReadonlyMap<string, Registered> | undefined;
  const registered = (path: string): Registered => {
    loaded ??= load(described);
    return loaded.get(path) as Registered;
  };
  for (const path of reflectionPaths) {
    const unused = () => {
      throw new Error('a server neither writes requests nor reads answers');
    };
    const lazily: Method = {
      path,
      requestStream: true,
      responseStream: true,
      requestSerialize: unused,
      requestDeserialize: (bytes) => registered(path).method.requestDeserialize(bytes),
      responseSerialize: (answer) => registered(path).method.responseSerialize(answer),
      responseDeserialize: unused,
    };
    const handle: Registered['handle'] = (call) => registered(path).handle(call);
    server.addService({ [method]: lazily }, { [method]: handle });
  }
}

function load(described: ReturnType<typeof describedServices>): ReadonlyMap<string, Registered> {
  const library = createRequire(import.meta.url)('@grpc/reflection') as typeof import('@grpc/reflection');
  const loaded = new Map<string, Registered>();
  // All that the library does with a server.
  const addService: Server['addService'] = (definition, handlers) => {
    const found = definition[method] as Method;
    loaded.set(found.path, { method: found, handle: handlers[method] as Registered['handle'] });
  };
  new library.ReflectionService(described).addToServer({ addService } as Server);
  return loaded;
}
