import { parseCall } from '../../../services/domain/call.js';
import { behaviors } from '../../support/etcd.js';
import { aRelay, ask, errorOf, newKeyspace, putRelay, startSelector, where } from '../../support/registry.js';
import { aMove, scene } from './scene.js';

/** What a request asks of the relay of a new call. */

const behavior = behaviors();

behavior('a call that is to meet another is placed on its relay', async (t, client, etcd) => {
  const { a, b } = await scene(t, client, etcd, { relays: 8, sets: ['default', 'edge'] });
  for (let i = 0; i < 10; i++) {
    const other = await a.selector.select(ask(`first-${i}`));
    const withCall = parseCall(`first-${i}`);
    for (const [at, { selector }] of [a, b].entries()) {
      const beside = await selector.select(ask(`second-${i}-${at}`, { withCall }));
      t.is(beside.binding.relayId, other.binding.relayId);
    }
  }
  const [edge, inEdge] = [parseCall('first-0', '', 'edge'), parseCall('beside-edge', '', 'edge')];
  const other = await a.selector.select(ask(edge, { constraints: { target: 'r7' } }));
  t.is((await b.selector.select(ask(inEdge, { withCall: edge }))).binding.relayId, other.binding.relayId);
});

behavior(
  'it is placed anywhere if that cannot be, and stays where it is if it is bound',
  async (t, client, etcd) => {
    const { a, b } = await scene(t, client, etcd, { relays: 3 });
    const withCall = parseCall('never-bound');
    t.is((await a.selector.select(ask('alone', { withCall }))).origin, 'new');
    const other = await a.selector.select(ask('other', { constraints: { target: 'r1' } }));
    const excluded = await b.selector.select(
      ask('excluded', { withCall: other.binding.call, constraints: { excluded: ['r1'] } }),
    );
    t.not(excluded.binding.relayId, 'r1');
    const bound = await a.selector.select(ask('bound', { constraints: { target: 'r2' } }));
    t.is(where(await b.selector.select(ask('bound', { withCall: other.binding.call }))), where(bound));
  },
);

behavior(
  'only relays that publish what the call needs are chosen, for its moves as well',
  async (t, client, etcd) => {
    const keys = newKeyspace();
    const features: Record<string, string[]> = { r1: [], r2: ['srtp'], r3: ['srtp', 'ice'], r4: ['srtp'] };
    for (const [id, its] of Object.entries(features)) {
      await putRelay(client, keys, aRelay({ id, features: its }));
    }
    const { selector, directory } = await startSelector(t, etcd.endpoint, { keys });
    for (let i = 0; i < 20; i++) {
      const { binding } = await selector.select(ask(`srtp-${i}`, { constraints: { features: ['srtp'] } }));
      t.not(binding.relayId, 'r1');
    }
    const ice = await selector.select(ask('ice', { constraints: { features: ['srtp', 'ice'] } }));
    t.is(ice.binding.relayId, 'r3');
    t.is(await errorOf(selector.select(ask('none', { constraints: { features: ['record'] } }))), 'no-relay');
    t.is(where(await selector.select(ask('ice', { constraints: { features: ['record'] } }))), where(ice));
    const moved = await selector.move(
      aMove({ call: parseCall('ice'), constraints: { features: ['srtp'], excluded: ['r2'] } }),
    );
    t.is(moved.binding.relayId, 'r4');
    t.deepEqual(directory.get('default', 'r3')?.relay.features, ['srtp', 'ice']);
  },
);

behavior('a call that came to nothing leaves no relay fuller than it is', async (t, client, etcd) => {
  const keys = newKeyspace();
  await putRelay(client, keys, aRelay({ id: 'r1', capacity: 3 }));
  const one = await startSelector(t, etcd.endpoint, { keys });
  const two = await startSelector(t, etcd.endpoint, { keys });
  const first = await one.selector.select(ask('bound'));
  // The other one knows nothing of the call: each time it places it, and finds that it is bound.
  for (let i = 0; i < 10; i++) {
    two.cache.forget(parseCall('bound', '', 'default'));
    t.is(where(await two.selector.select(ask('bound'))), where(first));
  }
  for (let i = 0; i < 3; i++) {
    t.is((await two.selector.select(ask(`new-${i}`))).origin, 'new');
  }
  t.is(await errorOf(two.selector.select(ask('one-too-many'))), 'relays-full');
});
