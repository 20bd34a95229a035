import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { MethodDefinition, ServiceDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import test from 'ava';
import fc from 'fast-check';
import {
  decodeTxnResult,
  encodeTxn,
  type Operation,
  type OperationResult,
  type Txn,
  type TxnResult,
} from '../../../services/etcd/txn-codec.js';
import { holds } from '../../support/property.js';

/** etcd's own description of its messages, which the client library ships, says what the bytes must be. */
const described = join(dirname(createRequire(import.meta.url).resolve('etcd3')), '..', 'proto', 'rpc.proto');
const { Txn: method } = loadSync(described, { keepCase: true, defaults: true })[
  'etcdserverpb.KV'
] as ServiceDefinition;
const { requestDeserialize, requestSerialize, responseSerialize } = method as MethodDefinition<
  object,
  object
>;

const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array));
const key = fc.uint8Array({ minLength: 1, maxLength: 300 }).map((array) => Buffer.from(array));
const revision = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const lease = fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }).map(String);

const { txn } = fc.letrec<{ txn: Txn; operation: Operation }>((tie) => ({
  txn: fc.record(
    {
      compare: fc.array(
        fc.oneof(
          fc.record(
            {
              result: fc.constant('Equal' as const),
              target: fc.constant('Mod' as const),
              key,
              mod_revision: revision,
              range_end: key,
            },
            { requiredKeys: ['result', 'target', 'key', 'mod_revision'] },
          ),
          fc.record({
            result: fc.constant('Equal' as const),
            target: fc.constant('Lease' as const),
            key,
            lease,
          }),
        ),
        { maxLength: 3 },
      ),
      success: fc.array(tie('operation'), { maxLength: 4 }),
      failure: fc.array(tie('operation'), { maxLength: 4 }),
    },
    { requiredKeys: ['success'] },
  ) as fc.Arbitrary<Txn>,
  operation: fc.oneof(
    { maxDepth: 3 },
    fc
      .record({ key, range_end: key, limit: revision }, { requiredKeys: ['key'] })
      .map((request_range) => ({ request_range })),
    fc
      .record({ key, value: bytes, lease }, { requiredKeys: ['key', 'value'] })
      .map((request_put) => ({ request_put })),
    fc.record({ key }).map((request_delete_range) => ({ request_delete_range })),
    (tie('txn') as fc.Arbitrary<Txn>).map((request_txn) => ({ request_txn })),
  ) as fc.Arbitrary<Operation>,
}));

test('etcd reads what is written as what the client library would have written', async (t) => {
  await holds(
    t,
    fc.asyncProperty(txn, async (request) => {
      t.deepEqual(requestDeserialize(encodeTxn(request)), requestDeserialize(requestSerialize(request)));
    }),
    { runs: 500 },
  );
});

const clusterId = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String);
const { result } = fc.letrec<{ result: TxnResult; outcome: OperationResult }>((tie) => ({
  result: fc.record({
    revision,
    clusterId,
    succeeded: fc.boolean(),
    responses: fc.array(tie('outcome') as fc.Arbitrary<OperationResult>, { maxLength: 4 }),
  }),
  outcome: fc.oneof(
    { maxDepth: 3 },
    fc
      .array(fc.record({ key, mod_revision: revision, value: bytes, lease }), { maxLength: 3 })
      .map((kvs) => ({
        response_range: { kvs },
      })),
    revision.map((of) => ({ response_put: { revision: of } })),
    fc.constant({}),
    (tie('result') as fc.Arbitrary<TxnResult>).map((response_txn) => ({ response_txn })),
  ) as fc.Arbitrary<OperationResult>,
}));

/** The same as etcd says it, with all that nobody asks for. */
const header = (of: number, cluster = '1') => ({
  cluster_id: cluster,
  member_id: 2,
  revision: of,
  raft_term: 3,
});

function toldByEtcd({ revision: of, clusterId: cluster, succeeded, responses }: TxnResult): object {
  return { header: header(of, cluster), succeeded, responses: responses.map(outcomeToldByEtcd) };
}

function outcomeToldByEtcd({ response_range, response_put, response_txn }: OperationResult): object {
  if (response_txn) {
    return { response_txn: toldByEtcd(response_txn) };
  }
  if (response_put) {
    return { response_put: { header: header(response_put.revision) } };
  }
  if (!response_range) {
    return { response_delete_range: { header: header(7), deleted: 1 } };
  }
  const kvs = response_range.kvs.map((kv) => ({ ...kv, create_revision: 5, version: 6 }));
  return { response_range: { header: header(8), kvs, more: true, count: kvs.length } };
}

test('what etcd answers is read, and the rest skipped', async (t) => {
  await holds(
    t,
    fc.asyncProperty(result, async (answer) => {
      t.deepEqual(decodeTxnResult(responseSerialize(toldByEtcd(answer))), answer);
    }),
    { runs: 500 },
  );
});

test('an answer that is cut off is an error, and no answer', (t) => {
  const whole = responseSerialize(
    toldByEtcd({
      revision: 300,
      clusterId: '1',
      succeeded: true,
      responses: [{ response_put: { revision: 300 } }],
    }),
  );
  t.throws(() => decodeTxnResult(whole.subarray(0, -1)), { instanceOf: RangeError });
});

test('an operation that says nothing is refused before it leaves', (t) => {
  t.throws(() => encodeTxn({ success: [{}] }), { message: /operation of a transaction is empty/ });
});
