import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';

/** A request with its encoded size, by which etcd limits requests. */
export type Sized<Request> = Request & { readonly wireBytes: number };

/** The service with requests that carry their encoded size, which is known only while they are being decoded. */
export function withSizedRequests(service: ServiceDefinition): ServiceDefinition {
  const methods = Object.entries(service).map(([name, method]) => [name, sized(method)]);
  return Object.fromEntries(methods) as ServiceDefinition;
}

function sized(method: MethodDefinition<object, object>): MethodDefinition<Sized<object>, object> {
  const requestDeserialize = (bytes: Buffer) =>
    Object.assign(method.requestDeserialize(bytes), { wireBytes: bytes.length });
  return { ...method, requestDeserialize };
}
