import type { ExecutionContext } from 'ava';
import type { StartTime } from '../../../services/registry/codecs/instance.js';
import { resolveInstance, startTime } from '../../../services/registry/instance-id.js';
import { RelayRegistration } from '../../../services/registry/relay-registration.js';
import { ManualClock } from '../../support/clock.js';
import { behaviors } from '../../support/etcd.js';
import { aRelay, eventually, registryDeps } from '../../support/registry.js';

const behavior = behaviors();

type Deps = ReturnType<typeof registryDeps>;

/** What a relay node does once its relay has told when it started. @returns the instance */
async function register(t: ExecutionContext, deps: Deps, start: StartTime): Promise<string> {
  const instance = await resolveInstance(deps, aRelay(), start);
  const relay = aRelay({ instance, startedAtMs: start.wallMs });
  const registration = new RelayRegistration(deps, relay, start);
  t.teardown(() => registration.stop());
  registration.start();
  await eventually(() => registration.registered, 'registration');
  await registration.stop();
  return instance;
}

behavior(
  'a relay node that restarts beside its relay finds the instance again, whatever the wall clock did',
  async (t, _client, etcd) => {
    for (const uptimeClock of ['monotonicMs', 'wallMs'] as const) {
      const deps = registryDeps(t, etcd.endpoint);
      const clock = new ManualClock();
      const bornMs = clock[uptimeClock]() - 60_000;
      /** The start, as the relay node computes it from the relay's uptime. */
      const start = () => {
        const uptimeMs = 1000 * Math.floor((clock[uptimeClock]() - bornMs) / 1000);
        return startTime(clock, 'boot', clock.monotonicMs() - uptimeMs);
      };
      const instance = await register(t, deps, start());
      for (const stepMs of [0, 300_000, -300_000, -300_000]) {
        clock.stepWall(stepMs);
        clock.advance(12_345);
        t.is(await register(t, deps, start()), instance, `${uptimeClock}, step of ${stepMs} ms`);
      }
      const restarted = startTime(clock, 'boot', clock.monotonicMs());
      t.not(await register(t, deps, restarted), instance, 'its relay has restarted');
    }
  },
);

behavior(
  'after a boot of the host, or on another host, wall time tells the lives apart',
  async (t, _client, etcd) => {
    const deps = registryDeps(t, etcd.endpoint);
    const start = { wallMs: 1_700_000_000_000, sinceBootMs: 50_000, bootId: 'one' };
    const instance = await register(t, deps, start);
    t.is(await register(t, deps, { ...start, sinceBootMs: 7, bootId: 'two' }), instance);
    t.not(await register(t, deps, { ...start, wallMs: start.wallMs + 60_000 }), instance);
  },
);

behavior('a record that is invalid is none', async (t, client, etcd) => {
  const deps = registryDeps(t, etcd.endpoint);
  const start = { wallMs: 1_700_000_000_000, sinceBootMs: 50_000, bootId: 'one' };
  const key = deps.keys.instance('default', 'r1');
  t.regex(await resolveInstance(deps, aRelay(), start), /^[0-9a-f]{16}$/);
  await client.kv.put({ key, value: Buffer.from('{"instance":"a","startedAt":"then"}') });
  const instance = await register(t, deps, start);
  t.regex(instance, /^[0-9a-f]{16}$/);
  t.is(await register(t, deps, start), instance, 'it is written over');
});
