import test from 'ava';
import fc from 'fast-check';
import { startRealEtcd } from '../support/etcd.js';
import { holds, scoped } from '../support/property.js';
import { testWith } from '../support/requirement.js';
import { begin, commands, commandsWithoutTime, expire, finish } from './selector-commands.js';
import { newModel, replicaCount } from './selector-model.js';
import { SelectorWorld } from './selector-world.js';

test('the guarantee holds for any requests and events', async (t) => {
  const property = fc.asyncProperty(commands, (steps) =>
    scoped(async (scope) => {
      const world = await SelectorWorld.open(scope, replicaCount);
      const model = newModel();
      await begin(model, world);
      await fc.asyncModelRun(() => ({ model, real: world }), steps);
      await finish(model, world);
      await expire(world);
    }),
  );
  await holds(t, property, { runs: 15 });
});

testWith(['etcd'], 'the guarantee holds on a real etcd', async (t) => {
  const { endpoint } = await startRealEtcd(t);
  const property = fc.asyncProperty(commandsWithoutTime, (steps) =>
    scoped(async (scope) => {
      const world = await SelectorWorld.over(scope, endpoint, replicaCount);
      const model = newModel();
      await begin(model, world);
      await fc.asyncModelRun(() => ({ model, real: world }), steps);
      await finish(model, world);
    }),
  );
  await holds(t, property, { runs: 5 });
});
