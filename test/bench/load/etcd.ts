import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { ServiceClientConstructor } from '@grpc/grpc-js';
import { loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { noop } from 'cockatiel';
import { Etcd3, type ICompare, type IRequestOp, type ITxnRequest } from 'etcd3';
import { parseCall } from '../../../services/domain/call.js';
import type { Calls, Target } from './job.js';
import type { Operations } from './operations.js';
import { callIdOf, Numbers } from './requests.js';
import { UnaryCalls } from './unary.js';

type EtcdTarget = Extract<Target, { kind: 'etcd' }>;
type BytesTarget = Extract<Target, { kind: 'etcd-bytes' }>;

/** Number of keys per lease, as in Holdfast. */
const keysPerLease = 1000;

/** Create-if-absent in etcd with the etcd3 client: the raw call, which is the fastest. */
export class EtcdCreates implements Operations {
  readonly size: number;
  readonly unexpected = 0;
  readonly answerBytes = 0;
  readonly #target: EtcdTarget;
  readonly #client: Etcd3;
  readonly #numbers: Numbers;
  readonly #values: readonly Buffer[];
  #lease: Promise<string>;
  #keysLeft = keysPerLease;

  constructor(target: EtcdTarget) {
    this.#target = target;
    this.size = target.batch;
    this.#numbers = new Numbers(target.calls);
    this.#values = target.values.map((value) => Buffer.from(value, 'base64'));
    this.#client = new Etcd3({
      hosts: target.endpoint,
      faultHandling: { host: () => noop, global: noop },
    });
    this.#lease = this.#grant();
  }

  start(done: (succeeded: boolean) => void): void {
    this.#commit().then(done, () => done(false));
  }

  close(): void {
    this.#client.close();
  }

  async #commit(): Promise<boolean> {
    this.#keysLeft -= this.size;
    if (this.#keysLeft <= 0) {
      this.#lease = this.#grant();
      this.#keysLeft = keysPerLease;
    }
    const lease = await this.#lease;
    const creates = Array.from({ length: this.size }, () => this.#create(lease));
    const [first] = creates;
    if (this.size === 1 && first) {
      return (await this.#client.kv.txn(first)).succeeded;
    }
    const { responses } = await this.#client.kv.txn({
      compare: [],
      success: creates.map((request_txn) => ({ request_txn }) as IRequestOp),
      failure: [],
    });
    // The types of etcd3 lack nested answers.
    return responses.every(
      (each) => (each as { response_txn?: { succeeded: boolean } }).response_txn?.succeeded,
    );
  }

  #create(lease: string): ITxnRequest {
    const { prefix, calls, guard } = this.#target;
    const number = this.#numbers.next();
    const value = this.#values[number % this.#values.length] as Buffer;
    return createIfAbsent(keyOf(prefix, calls, number), value, lease, guard);
  }

  async #grant(): Promise<string> {
    return (await this.#client.leaseClient.leaseGrant({ TTL: this.#target.ttlSeconds })).ID;
  }
}

/** One create-if-absent per operation, as bytes over the HTTP/2 client that also loads Holdfast. */
export function openEtcdBytes({
  port,
  prefix,
  calls,
  value,
  lease,
  guard,
}: BytesTarget): Promise<UnaryCalls> {
  const numbers = new Numbers(calls);
  const valueBytes = Buffer.from(value, 'base64');
  const serialize = txnSerializer();
  return UnaryCalls.open({
    ports: [port],
    connections: 1,
    path: '/etcdserverpb.KV/Txn',
    nextNumber: () => numbers.next(),
    request: (number) => {
      const message = serialize(createIfAbsent(keyOf(prefix, calls, number), valueBytes, lease, guard));
      const length = Buffer.alloc(5);
      length.writeUInt32BE(message.length, 1);
      return Buffer.concat([length, message]);
    },
  });
}

function keyOf(prefix: string, calls: Calls, number: number): Buffer {
  return Buffer.from(prefix + parseCall(callIdOf(calls, number)).key);
}

function createIfAbsent(
  key: Buffer,
  value: Buffer,
  lease: string,
  guard: { readonly key: string; readonly revision: number } | undefined,
): ITxnRequest {
  const compare: ICompare[] = [{ result: 'Equal', target: 'Mod', key, mod_revision: 0 }];
  const failure: IRequestOp[] = [{ request_range: { key } }];
  if (guard) {
    const relay = Buffer.from(guard.key);
    compare.push({ result: 'Equal', target: 'Mod', key: relay, mod_revision: guard.revision });
    failure.push({ request_range: { key: relay } });
  }
  return { compare, success: [{ request_put: { key, value, lease } }], failure };
}

function txnSerializer(): (request: ITxnRequest) => Buffer {
  const directory = join(dirname(createRequire(import.meta.url).resolve('etcd3/package.json')), 'proto');
  const loaded = loadPackageDefinition(
    loadSync('rpc.proto', { includeDirs: [directory], keepCase: true, longs: String, enums: String }),
  );
  const { KV } = loaded['etcdserverpb'] as unknown as { KV: ServiceClientConstructor };
  const serialize = KV.service['Txn']?.requestSerialize;
  if (!serialize) {
    throw new Error("etcd's KV.Txn is missing from the etcd3 package");
  }
  return serialize;
}
