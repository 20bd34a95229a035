import test from 'ava';
import { NgServer } from '../../../services/control/ng/server.js';
import { startEmbeddedEtcd } from '../../support/etcd.js';
import { eventually } from '../../support/registry.js';
import { startHoldfast, startReplica } from '../../support/stack.js';

test('replicas tell why a relay left: silent, restarted, its node killed, or its node stopped', async (t) => {
  const { endpoint } = await startEmbeddedEtcd(t);
  const { client } = await startReplica(t, endpoint);
  let answers = true;
  let bornMs = performance.now() - 100_000;
  const uptime = () => `${Math.floor((performance.now() - bornMs) / 1000)}`;
  const relay = new NgServer({
    listen: [{ host: '127.0.0.1', port: 0 }],
    handler: async ({ body }) => {
      if (!answers) {
        return await new Promise<never>(() => {});
      }
      const statistics = { totalstatistics: { uptime: uptime() }, currentstatistics: { sessionstotal: 0 } };
      return body.command === 'ping' ? { result: 'pong' } : { result: 'ok', statistics, calls: [] };
    },
  });
  await relay.start();
  t.teardown(() => relay.stop());
  const control = `127.0.0.1:${relay.addresses()[0]?.port}`;
  const start = () =>
    startHoldfast(t, ['relay-node', '--id', 'r1', '--kind', 'rtpengine', '--control', control], {
      HOLDFAST_ETCD: endpoint,
    });
  const isBack = () =>
    eventually(async () => (await client.listRelays()).relays.length === 1, 'the relay', 15_000);
  /** Why the relay has left, once it has done so this often. */
  const left = async (times: number) => {
    const reasons: string[] = [];
    await eventually(
      async () => {
        reasons.length = 0;
        for await (const { event } of client.watchEvents({ sinceSeconds: 3600, follow: false })) {
          if (event?.type === 'relay-left') {
            reasons.push(event.reason);
          }
        }
        return reasons.length === times;
      },
      `departure ${times}`,
      15_000,
    );
    return reasons.at(-1);
  };

  const node = await start();
  await isBack();
  answers = false;
  t.is(await left(1), 'the relay does not answer its relay node');
  answers = true;
  await isBack();
  bornMs = performance.now();
  t.is(await left(2), 'the relay was restarted');
  await isBack();
  await node.kill();
  t.is(await left(3), 'its lease ran out: its relay node or host is gone, or cannot reach etcd');
  const next = await start();
  await isBack();
  next.signal('SIGTERM');
  t.is(await left(4), 'its relay node was stopped');
});
