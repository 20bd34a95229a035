import { each } from '../../services/runtime/each.js';
import { audioSdp, newCall, ProxyClient } from '../support/ng.js';
import { eventually } from '../support/registry.js';
import { testWith } from '../support/requirement.js';
import { mediaNetwork } from './gateway-relays.js';
import { negotiate, programs, Scene } from './scene.js';

testWith.serial(programs, 'a binding outlives its TTL while its relay carries the call', async (t) => {
  const scene = await Scene.start(t, ['r1']);
  const ttlSeconds = 10;
  const talking = newCall();
  const proxy = await scene.proxyFor(await scene.a.select({ callId: talking.callId, ttlSeconds }));
  await negotiate(proxy, talking);
  const ended = newCall();
  await scene.a.select({ callId: ended.callId, ttlSeconds });
  await negotiate(proxy, ended);
  await proxy.delete(ended);

  // A lookup does not prolong a binding: it shows when the binding of the ended call has expired.
  const isBound = (callId: string) =>
    scene.b.lookup({ callId }).then(
      () => true,
      () => false,
    );
  await eventually(async () => !(await isBound(ended.callId)), 'end of the ended call', 60_000);
  const { binding } = await scene.b.lookup({ callId: talking.callId });
  t.is(binding?.generation, 1n);
  t.true((binding?.expireTime?.getTime() ?? 0) > Date.now(), 'kept for some time to come');
});

testWith.serial(programs, 'so do the bindings of more calls than a list of the relay holds', async (t) => {
  t.timeout(180_000);
  const scene = await Scene.start(t, []);
  // A list has 2,000 at most. Each call that is published takes two sockets, of which a process may have 20,000 here and there.
  const count = 3000;
  // Nobody talks here: rtpengine would end such calls after a minute.
  const args = ['--port-min=10000', '--port-max=59999', '--timeout=3600'];
  await scene.join('r1', { args, address: `${mediaNetwork()}.1` });
  const { port } = scene.relay('r1').rtpengine;
  const proxy = new ProxyClient('127.0.0.1', port, { timeoutMs: 2000, retransmitMs: 500 });
  await proxy.start();
  t.teardown(() => proxy.stop());

  const calls = Array.from({ length: count }, () => newCall());
  const phone = audioSdp({ address: '127.0.0.1', port: 50_000, direction: 'sendonly' });
  await each(calls, 40, async ({ callId, fromTag }) => {
    const published = { command: 'publish', 'call-id': callId, 'from-tag': fromTag, sdp: phone };
    t.like(await proxy.request(published), { result: 'ok' });
  });
  const ttlSeconds = 20;
  const bind = (callId: string) => scene.a.select({ callId, ttlSeconds });
  const stream = scene.a.selectStream();
  t.teardown(() => stream.close());
  for (let at = 0; at < count; at += 500) {
    const some = calls.slice(at, at + 500);
    await Promise.all(some.map(({ callId }) => stream.select({ callId, ttlSeconds })));
  }
  const ended = 'of-which-no-relay-knows@proxy.example';
  await bind(ended);
  const isBound = () =>
    scene.b.lookup({ callId: ended }).then(
      () => true,
      () => false,
    );
  await eventually(async () => !(await isBound()), 'end of a call that is not carried', 120_000);
  const kept = new Set<string>();
  for await (const { callId } of scene.b.listBindings('default', 'r1')) {
    kept.add(callId);
  }
  const lost = calls.filter(({ callId }) => !kept.has(callId));
  t.log(`${kept.size} of ${count} kept`);
  t.is(lost.length, 0);
});
