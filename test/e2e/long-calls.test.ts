import { newCall } from '../support/ng.js';
import { eventually } from '../support/registry.js';
import { testWith } from '../support/requirement.js';
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
