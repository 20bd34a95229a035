import test from 'ava';
import { startEmbeddedEtcd } from '../../support/etcd.js';
import { ProxyClient } from '../../support/ng.js';
import { freeUdpPort } from '../../support/ports.js';
import { startReplica } from '../../support/stack.js';

test('a replica that is told to stop is not ready, and serves on for as long as it was told', async (t) => {
  const { endpoint } = await startEmbeddedEtcd(t);
  const port = await freeUdpPort();
  const replica = await startReplica(t, endpoint, {
    HOLDFAST_NG_LISTEN: `127.0.0.1:${port}`,
    HOLDFAST_LEAVE_SECONDS: '600',
  });
  const proxy = new ProxyClient('127.0.0.1', port);
  await proxy.start();
  t.teardown(() => proxy.stop());
  const readiness = async () => (await fetch(`http://${replica.http}/readyz`)).status;
  t.is(await readiness(), 200);

  replica.process.signal('SIGTERM');
  await replica.process.waitUntil(async () => (await readiness()) === 503, 'answer that it is not ready');
  t.is((await proxy.ping())['result'], 'pong');
  await t.throwsAsync(replica.client.lookup({ callId: 'unknown' }), { message: /no binding|not bound/ });

  replica.process.signal('SIGTERM');
  t.is((await replica.process.exited).code, 1, 'a second signal ends it at once');
});
