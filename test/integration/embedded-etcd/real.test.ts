import { connect, type RealEtcd, startRealEtcd, startRealEtcdCluster } from '../../support/etcd.js';
import { testWith } from '../../support/requirement.js';

/** The helpers that later tests hurt a real etcd with. */
const key = Buffer.from('k');

testWith(['etcd'], 'a killed or stopped etcd comes back on its port with its data', async (t) => {
  const etcd = await startRealEtcd(t);
  await connect(t, etcd.endpoint).kv.put({ key, value: Buffer.from('kept') });
  const { pid } = etcd;
  await etcd.kill();
  await t.throwsAsync(connect(t, etcd.endpoint).kv.range({ key }), { message: /UNAVAILABLE/ });
  await etcd.restart();
  t.not(etcd.pid, pid);
  t.is(String((await connect(t, etcd.endpoint).kv.range({ key })).kvs[0]?.value), 'kept');
  await etcd.stop();
  await etcd.restart();
  t.is((await connect(t, etcd.endpoint).kv.range({ key })).count, '1');
});

testWith(['etcd'], 'a paused etcd does not answer until it is resumed', async (t) => {
  const etcd = await startRealEtcd(t);
  const { kv } = connect(t, etcd.endpoint);
  await kv.put({ key });
  await etcd.pause();
  await t.throwsAsync(kv.range({ key }, { deadline: Date.now() + 300 }), { message: /DEADLINE_EXCEEDED/ });
  etcd.resume();
  t.is((await kv.range({ key })).count, '1');
});

testWith(['etcd'], 'a cluster of three goes on without one member', async (t) => {
  const [first, second] = (await startRealEtcdCluster(t, 3)) as [RealEtcd, RealEtcd, RealEtcd];
  await first.kill();
  await second.healthy();
  await connect(t, second.endpoint).kv.put({ key });
  await first.restart();
  t.is((await connect(t, first.endpoint).kv.range({ key })).count, '1');
});
