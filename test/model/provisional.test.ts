import assert from 'node:assert/strict';
import test from 'ava';
import fc from 'fast-check';
import { parseCall } from '../../services/domain/call.js';
import { turns } from '../support/clock.js';
import { command } from '../support/command.js';
import { holds, scoped } from '../support/property.js';
import { aRelay, ask, codeOf } from '../support/registry.js';
import { type Replica, SelectorWorld } from './selector-world.js';

/** Provisional answers of replicas without etcd, and their reconciliation when etcd is back (guarantee 6). */

interface Model {
  /** By replica: undefined while it has etcd; otherwise its provisional relays, by call. */
  readonly promises: (Map<string, string> | undefined)[];
  /** Relays that were registered when all replicas last had etcd. */
  readonly relays: Set<string>;
}

const replicaCount = 2;
const calls = ['call-a', 'call-b', 'call-c'];
const relayIds = ['r1', 'r2', 'r3'];
const step = command<Model, SelectorWorld>;
const at = fc.nat(replicaCount - 1);
const call = fc.constantFrom(...calls);

const settledBy = ({ parts }: Replica) => {
  const { kept, conflicts, relaysGone } = parts.selector.counters;
  return kept + conflicts + relaysGone;
};

const lose = at.map((at) =>
  step(`${at} loses etcd`, async (model, world) => {
    if (model.promises[at]) {
      return;
    }
    await world.settle(world.replicas.filter((_, i) => !model.promises[i]));
    const { connection, parts } = world.replicas[at] as Replica;
    connection.cut();
    for (let tries = 0; !parts.quorum.lost; tries++) {
      assert.ok(tries < 20, 'the replica does not notice the loss');
      await world.drive(parts.selector.lookup(parseCall(`notice-${tries}`)).catch(codeOf));
      world.clock.advance(100);
      await turns();
    }
    model.promises[at] = new Map();
  }),
);

const comeBack = at.map((at) => step(`${at} has etcd again`, (model, world) => restore(model, world, at)));

async function restore(model: Model, world: SelectorWorld, at: number): Promise<void> {
  const promised = model.promises[at];
  if (!promised) {
    return;
  }
  const replica = world.replicas[at] as Replica;
  const { selector } = replica.parts;
  const before = settledBy(replica);
  replica.connection.restore();
  await world.settle([replica]);
  await world.drive(selector.reconcile());
  await world.readHistory();
  assert.equal(selector.provisionalBindings, 0, 'provisional bindings are left');
  model.promises[at] = undefined;
  // A provisional binding is dropped if no relay can carry the call.
  if (model.relays.size === 0) {
    return;
  }
  assert.equal(settledBy(replica) - before, promised.size, 'each provisional binding is reconciled once');
  // Relays do not change while any replica is without etcd.
  assert.equal(
    selector.counters.relaysGone,
    0,
    'a provisional binding is lost although its relay is registered',
  );
  for (const [callId, relayId] of promised) {
    assert.ok(
      world.bindings(callId).at(-1)?.binding,
      `${callId} was provisionally on ${relayId} and is not bound`,
    );
  }
}

const select = fc
  .record({ at, call, excluded: fc.constantFrom<string[]>([], [], [], ['r1'], ['r2', 'r3']) })
  .map(({ at, call, excluded }) =>
    step(`select ${call} at ${at} without ${excluded.join() || 'exception'}`, async (model, world) => {
      const { selector } = (world.replicas[at] as Replica).parts;
      const promised = model.promises[at];
      const selecting = Promise.resolve(selector.select(ask(call, { constraints: { excluded } })));
      const outcome = await world.drive(selecting.catch(codeOf));
      if (typeof outcome === 'string') {
        assert.equal(outcome, 'no-relay');
        return;
      }
      const { freshness, binding } = outcome;
      if (!promised) {
        return assert.equal(freshness, 'fresh');
      }
      if (freshness === 'stale') {
        return assert.ok(binding.generation > 0);
      }
      assert.equal(freshness, 'provisional');
      assert.equal(binding.generation, 0);
      assert.ok(!excluded.includes(binding.relayId), 'an excluded relay');
      const before = promised.get(call);
      if (before && !excluded.includes(before)) {
        assert.equal(binding.relayId, before, 'a provisional answer is repeated');
      }
      promised.set(call, binding.relayId);
    }),
  );

const release = fc.record({ at, call }).map(({ at, call }) =>
  step(`release ${call} at ${at}`, async (model, world) => {
    const promised = model.promises[at];
    if (!promised) {
      return;
    }
    const { selector } = (world.replicas[at] as Replica).parts;
    const outcome = await world.drive(selector.release(parseCall(call)).catch(codeOf));
    assert.equal(outcome, promised.delete(call) ? true : 'unavailable');
  }),
);

const change = fc.constantFrom(...relayIds).map((id) =>
  step(`${id} joins or leaves`, async (model, world) => {
    // Replicas without etcd keep the relays that they know, and so does the model.
    if (model.promises.some((promised) => promised)) {
      return;
    }
    const joins = !model.relays.delete(id);
    if (joins) {
      model.relays.add(id);
    }
    await world.register(id, joins ? aRelay({ id, instance: `life-of-${id}-${world.revision}` }) : undefined);
    await world.settle(world.replicas);
  }),
);

const agree = call.map((call) =>
  step(`select ${call} at all without etcd`, async (model, world) => {
    const answers: string[] = [];
    for (const [at, promised] of model.promises.entries()) {
      if (!promised || promised.has(call)) {
        continue;
      }
      const { selector } = (world.replicas[at] as Replica).parts;
      const answer = await world.drive(selector.lookup(parseCall(call), { predicts: true }).catch(codeOf));
      if (typeof answer === 'string') {
        assert.equal(answer, 'no-relay');
      } else if (answer?.freshness === 'provisional') {
        answers.push(answer.binding.relayId);
      }
    }
    assert.ok(new Set(answers).size <= 1, `they do not agree: ${answers}`);
  }),
);

test('provisional answers are bound when etcd is back, or dropped for an existing binding, and each is reported', async (t) => {
  const weighted = [
    ...new Array(6).fill(select),
    lose,
    lose,
    lose,
    comeBack,
    comeBack,
    release,
    change,
    agree,
  ];
  const property = fc.asyncProperty(fc.commands(weighted, { maxCommands: 40, size: 'max' }), (steps) =>
    scoped(async (scope) => {
      const world = await SelectorWorld.open(scope, replicaCount, 'available');
      const model: Model = { promises: new Array(replicaCount).fill(undefined), relays: new Set(relayIds) };
      for (const id of relayIds) {
        await world.register(id, aRelay({ id }));
      }
      await world.settle(world.replicas);
      await fc.asyncModelRun(() => ({ model, real: world }), steps);
      for (let at = 0; at < replicaCount; at++) {
        await restore(model, world, at);
      }
      await world.settle(world.replicas);
      for (const id of calls) {
        const versions = world.bindings(id).map(({ binding }) => binding);
        const relays = versions.map((binding) => binding && `${binding.relayId} ${binding.generation}`);
        for (const [i, binding] of versions.entries()) {
          if (binding && versions[i - 1]?.generation === binding.generation) {
            assert.equal(relays[i], relays[i - 1], `${id} was bound over another binding: ${relays}`);
          }
        }
      }
    }),
  );
  await holds(t, property, { runs: 25 });
});
