import type { Kamailio } from '../support/kamailio.js';
import { testWith } from '../support/requirement.js';
import { beside } from './calls-counts.js';
import { branches, calls, example, forks, playFork } from './calls-forks.js';
import { sharedStage } from './calls-stage.js';
import { programs } from './gateway-scene.js';

const stage = sharedStage([
  { id: 'rtp-1', kind: 'rtpengine', set: 'rtpengine' },
  { id: 'rtp-2', kind: 'rtpengine', set: 'rtpengine' },
  { id: 'own-1', kind: 'builtin', set: 'builtin' },
  { id: 'own-2', kind: 'builtin', set: 'builtin' },
]);

for (const set of ['rtpengine', 'builtin']) {
  testWith.serial(programs, `forked calls on ${set}: the winner talks on, on the same relay`, async (t) => {
    const built = await stage();
    const proxies = new Map<string, Kamailio>();
    for (const way of ['gateway', 'direct'] as const) {
      for (const configuration of [example, branches]) {
        proxies.set(way + configuration, await built.proxy({ way, set, configuration }));
      }
    }
    const played = forks.map((fork) =>
      beside(t, fork.title, (way) =>
        playFork(t, built, set, fork, proxies.get(way + fork.configuration) as Kamailio),
      ),
    );
    for (const { gateway, direct } of await Promise.all(played)) {
      t.deepEqual(gateway, {
        answered: calls,
        // After a second answer rtpengine sends the caller's media to that phone, until there is another offer.
        heardAtOnce: set === 'builtin' ? calls : direct['heardAtOnce'],
        kept: calls,
        heardLater: calls,
        ended: calls,
        left: 0,
      });
    }
  });
}
