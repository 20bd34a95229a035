import { parseCall } from '../../../services/domain/call.js';
import type { Answer } from '../../../services/selection/requests.js';
import { ShiftedClock } from '../../support/clock.js';
import { behaviors } from '../../support/etcd.js';
import { ask, startSelector, where } from '../../support/registry.js';
import { scene } from './scene.js';

/** What the wall clock of one replica does to the calls of all. */

const behavior = behaviors();
const threeHoursMs = 3 * 3_600_000;
const ids = (what: string, count: number) => Array.from({ length: count }, (_, i) => `${what}-${i}`);

behavior('a wall clock that is set by hours changes nothing', async (t, client, etcd) => {
  const clock = new ShiftedClock();
  const {
    a: stepped,
    b: other,
    keys,
  } = await (async () => {
    const made = await scene(t, client, etcd, { replicas: 1 });
    const own = await startSelector(t, etcd.endpoint, { keys: made.keys, clock });
    return { ...made, a: own, b: made.a };
  })();
  const before = new Map<string, Answer>();
  for (const [i, id] of ids('step', 40).entries()) {
    const { selector } = i % 2 ? stepped : other;
    before.set(id, await selector.select(ask(id, { inDialog: true })));
  }
  const writes = () =>
    [stepped, other].map(({ selector }) => selector.counters.moved + selector.counters.bound);
  const made = writes();
  for (const stepMs of [threeHoursMs, -2 * threeHoursMs, threeHoursMs]) {
    clock.stepWall(stepMs);
    for (const { selector } of [stepped, other]) {
      for (const [id, answer] of before) {
        const again = await selector.select(ask(id, { inDialog: true }));
        t.is(where(again), where(answer));
        t.is(again.freshness, 'fresh');
        t.is((await selector.lookup(parseCall(id)))?.freshness, 'fresh');
      }
    }
    t.deepEqual(writes(), made);
    await stepped.engine.keeper.look();
  }
  for (const id of before.keys()) {
    const [kv] = (await client.kv.range({ key: keys.call(parseCall(id)) })).kvs;
    const { TTL } = await client.leaseClient.leaseTimeToLive({ ID: kv?.lease ?? '' });
    t.true(Number(TTL) >= 3600, `${id}: ${TTL} s`);
  }
});
