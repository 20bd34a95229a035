import { startRealEtcd } from '../support/etcd.js';
import { testWith } from '../support/requirement.js';
import { logged, startRelayNode, startReplica } from '../support/stack.js';
import { goodClient } from './good-client.js';
import { withstand } from './target.js';

const most = 1000;
/** As long as a Call-ID may be. */
const longest = 'x'.repeat(16_000);

testWith.serial(
  ['etcd'],
  'without etcd, five times as many new calls as are remembered or promised a relay',
  async (t) => {
    const etcd = await startRealEtcd(t);
    await startRelayNode(t, { id: 'r1', etcd: etcd.endpoint });
    const { process, client, grpc, http } = await startReplica(t, etcd.endpoint, {
      HOLDFAST_CACHE_ENTRIES: `${most}`,
      HOLDFAST_PROVISIONAL_ENTRIES: `${most}`,
    });
    let served = 0;
    const attack = async () => {
      // A member that is frozen is noticed later than one that is gone: operations wait for it.
      await etcd.pause();
      const calls = Array.from({ length: 5 * most }, (_, i) => `outage-${i}`);
      const worker = async () => {
        for (let callId = calls.pop(); callId !== undefined; callId = calls.pop()) {
          await client.select({ callId }).then(
            () => served++,
            () => undefined,
          );
        }
      };
      await Promise.all(Array.from({ length: 256 }, worker));
      await logged(process, 'etcd lost: known calls are answered from memory');
    };
    const end = () => etcd.resume();
    // Until the outage is noticed a call waits for etcd, and may wait in vain.
    await withstand(t, process, attack, { goodClient: goodClient(grpc), end, tolerated: 1, served: 'after' });
    t.true(served > 2 * most, `${served} of ${5 * most} were served`);
    const metrics = await (await fetch(`http://${http}/metrics`)).text();
    const dropped = Number(/^holdfast_provisional_dropped_total (\d+)$/m.exec(metrics)?.[1]);
    t.true(dropped > 0, metrics);
  },
);

testWith.serial(['etcd'], 'without etcd, new calls with the longest Call-IDs', async (t) => {
  const etcd = await startRealEtcd(t);
  await startRelayNode(t, { id: 'r1', etcd: etcd.endpoint });
  const { process, client, grpc } = await startReplica(t, etcd.endpoint);
  let served = 0;
  const attack = async () => {
    await etcd.pause();
    // That it is lost is noticed by those who wait for it.
    await client.select({ callId: 'first' }).catch(() => undefined);
    await logged(process, 'etcd lost: known calls are answered from memory');
    let next = 0;
    const worker = async () => {
      for (let i = next++; i < 4000; i = next++) {
        await client.select({ callId: `${i}-${longest}` }).then(
          () => served++,
          () => undefined,
        );
      }
    };
    await Promise.all(Array.from({ length: 64 }, worker));
  };
  await withstand(t, process, attack, {
    goodClient: goodClient(grpc),
    end: () => etcd.resume(),
    tolerated: 1,
    served: 'after',
    growthMib: 208,
  });
  t.true(served > 3000, `${served} of 4000 were served`);
});
