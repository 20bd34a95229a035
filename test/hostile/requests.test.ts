import { credentials, status } from '@grpc/grpc-js';
import { SelectionServiceClient, type SelectRequest } from '../../proto/generated/holdfast/v1/selection.js';
import { startRealEtcd } from '../support/etcd.js';
import { failure, move, select } from '../support/replica.js';
import { testWith } from '../support/requirement.js';
import { startRelayNode, startReplica } from '../support/stack.js';
import { goodClient } from './good-client.js';
import { withstand } from './target.js';

const x = (length: number) => 'x'.repeat(length);
const many = (count: number) => Array.from({ length: count }, (_, i) => `n${i}`);

/** Each is right but for one field, which is just beyond its limit, or far beyond it. */
const selects: readonly (readonly [Partial<SelectRequest>, status])[] = [
  [{ callId: x(16_385) }, status.INVALID_ARGUMENT],
  [{ viaBranch: x(257) }, status.INVALID_ARGUMENT],
  [{ viaBranch: 'a b' }, status.INVALID_ARGUMENT],
  [{ requestId: x(65) }, status.INVALID_ARGUMENT],
  [{ zone: x(64) }, status.INVALID_ARGUMENT],
  [{ excludedRelayIds: many(65) }, status.INVALID_ARGUMENT],
  [{ excludedRelayIds: many(5000) }, status.INVALID_ARGUMENT],
  [{ labels: Object.fromEntries(many(17).map((name) => [name, ''])) }, status.INVALID_ARGUMENT],
  [{ ttlSeconds: 9 }, status.INVALID_ARGUMENT],
  [{ ttlSeconds: 86_401 }, status.INVALID_ARGUMENT],
  [{ callId: x(64 * 1024) }, status.RESOURCE_EXHAUSTED],
  [{ callId: x(4 << 20) }, status.RESOURCE_EXHAUSTED],
];

testWith.serial(['etcd'], 'requests with fields beyond their limits', async (t) => {
  const etcd = await startRealEtcd(t);
  await startRelayNode(t, { id: 'r1', etcd: etcd.endpoint });
  const { process, grpc } = await startReplica(t, etcd.endpoint);
  const client = new SelectionServiceClient(grpc, credentials.createInsecure());
  t.teardown(() => client.close());
  const unexpected = new Set<string>();
  const asks = [
    ...selects.map(([fields, code]) => ({
      ask: () => select(client, { callId: 'call', ...fields }),
      code,
      what: Object.keys(fields)[0],
    })),
    {
      ask: () => move(client, { callId: 'call', generation: 1n, reason: x(257) }),
      code: status.INVALID_ARGUMENT,
      what: 'reason',
    },
  ];
  const attack = async () => {
    const untilMs = performance.now() + 4000;
    const worker = async () => {
      while (performance.now() < untilMs) {
        for (const { ask, code, what } of asks) {
          const error = await failure(ask());
          if (error.code !== code) {
            unexpected.add(`${what}: ${error.message}`);
          }
        }
      }
    };
    await Promise.all(Array.from({ length: 16 }, worker));
  };
  await withstand(t, process, attack, { goodClient: goodClient(grpc), end: () => client.close() });
  t.deepEqual([...unexpected], []);
});

testWith.serial(
  ['etcd'],
  'calls with the longest Call-IDs are remembered in the room of others',
  async (t) => {
    const etcd = await startRealEtcd(t);
    const env = { HOLDFAST_RELAY_CAPACITY: '10000' };
    await startRelayNode(t, { id: 'r1', etcd: etcd.endpoint, env });
    // Of short ones these take 4 MiB.
    const { process, client, grpc } = await startReplica(t, etcd.endpoint, {
      HOLDFAST_CACHE_ENTRIES: '20000',
    });
    const attack = async () => {
      let next = 0;
      const worker = async () => {
        for (let i = next++; i < 4000; i = next++) {
          await client.select({ callId: `${i}-${x(16_000)}` });
        }
      };
      await Promise.all(Array.from({ length: 64 }, worker));
    };
    await withstand(t, process, attack, { goodClient: goodClient(grpc), end: () => {}, growthMib: 176 });
  },
);
