import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import { Long, loadSync } from '@grpc/proto-loader';
import { toWire } from './byte-string.js';
import type { Event, KeyValue, Sized } from './messages.js';
import { isTombstone, type LeaseId, type Version } from './version.js';

export type ServiceName = 'KV' | 'Watch' | 'Lease' | 'Cluster' | 'Maintenance' | 'Auth';

/** etcd's service definitions, from the files that the client library ships: both ends speak one protocol. */
export function loadServices(): Record<ServiceName, ServiceDefinition> {
  const client = createRequire(import.meta.url).resolve('etcd3');
  const packages = loadSync(join(dirname(client), '..', 'proto', 'rpc.proto'), { keepCase: true });
  const service = (name: ServiceName) => packages[`etcdserverpb.${name}`] as ServiceDefinition;
  return {
    KV: measured(service('KV')),
    Watch: service('Watch'),
    Lease: service('Lease'),
    Cluster: service('Cluster'),
    Maintenance: service('Maintenance'),
    Auth: service('Auth'),
  };
}

/** etcd limits requests by their encoded size, which is known only while they are being decoded. */
function measured(service: ServiceDefinition): ServiceDefinition {
  const entries = Object.entries(service).map(([name, method]) => {
    const original = method as MethodDefinition<object, object>;
    const requestDeserialize = (bytes: Buffer): object & Sized =>
      Object.assign(original.requestDeserialize(bytes), { wireBytes: bytes.length });
    return [name, { ...original, requestDeserialize }];
  });
  return Object.fromEntries(entries) as ServiceDefinition;
}

/** Exact up to 2^53, which no revision, limit or version reaches. */
export const toNumber = (value: Long | undefined): number => (value ? value.toNumber() : 0);

export function toLeaseId(value: Long | undefined): LeaseId {
  if (!value) {
    return 0n;
  }
  if (value.high === 0) {
    return BigInt(value.low >>> 0);
  }
  return (BigInt(value.high) << 32n) | BigInt(value.low >>> 0);
}

export const fromLeaseId = (id: LeaseId): Long =>
  Long.fromBits(Number(BigInt.asIntN(32, id)), Number(BigInt.asIntN(32, id >> 32n)), false);

export function toKeyValue(version: Version, withValue = true): KeyValue {
  const kv: KeyValue = {
    key: toWire(version.key),
    create_revision: version.createRevision,
    mod_revision: version.modRevision,
    version: version.version,
  };
  if (withValue) {
    kv.value = toWire(version.value);
  }
  if (version.lease !== 0n) {
    kv.lease = fromLeaseId(version.lease);
  }
  return kv;
}

const put = 0;
const deletion = 1;

export function toEvent(version: Version, withPrevious: boolean): Event {
  const event: Event = isTombstone(version)
    ? { type: deletion, kv: { key: toWire(version.key), mod_revision: version.modRevision } }
    : { type: put, kv: toKeyValue(version) };
  const previous = version.older;
  if (withPrevious && previous && !isTombstone(previous)) {
    event.prev_kv = toKeyValue(previous);
  }
  return event;
}
