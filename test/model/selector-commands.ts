import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Relay } from '../../services/domain/relay.js';
import { command } from '../support/command.js';
import type { Fate } from '../support/faulty-connection.js';
import { aRelay } from '../support/registry.js';
import {
  callKeys,
  checkHistory,
  checkOutcome,
  checkPromises,
  type Model,
  newReplica,
  promise,
  type Question,
  type ReplicaModel,
  replicaCount,
} from './selector-model.js';
import { ask, prepare, settle } from './selector-questions.js';
import { Replica, type SelectorWorld, settings } from './selector-world.js';

/** Requests to replicas, and events around them. */

type Step = fc.AsyncCommand<Model, SelectorWorld>;
const step = command<Model, SelectorWorld>;

const relayIds = ['r1', 'r2', 'r3'];

async function askTogether(
  model: Model,
  world: SelectorWorld,
  questions: readonly Question[],
  changes: readonly Change[] = [],
): Promise<void> {
  await settle(model, world);
  const begun = world.revision;
  const all = questions.map((question) => prepare(model, world, question));
  const answering = all.map((asked) => ask(model, world, asked));
  await world.drive(Promise.all([...answering, ...changes.map((each) => apply(model, world, each))]));
  await settle(model, world);
  checkHistory(model, world);
  const answered = model.replicas.map((replica) => new Map(replica.answered));
  const alone = all.length === 1 && changes.length === 0;
  for (const asked of all) {
    checkOutcome(model, world, asked, { begun, answered, alone });
  }
  for (const asked of all) {
    promise(model, world, asked);
  }
  await checkPromises(model, world);
}

const at = fc.nat(replicaCount - 1);
/** Mostly the same call, so that requests compete. */
const call = fc.constantFrom(...callKeys, 'call-a', 'call-a');
const relayId = fc.constantFrom(...relayIds);
const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record(model, { noNullPrototype: true });
const constant = <T extends string>(value: T) => fc.constant(value);
const question: fc.Arbitrary<Question> = fc.oneof(
  { weight: 8, arbitrary: record({ ask: constant('select'), at, call }) },
  {
    weight: 3,
    arbitrary: record({
      ask: fc.constantFrom('select again', 'lookup', 'release', 'release late'),
      at,
      call,
    }),
  },
  {
    weight: 2,
    arbitrary: record({ ask: constant('use'), at, call, seconds: fc.constantFrom(undefined, 10, 100, 600) }),
  },
  {
    weight: 2,
    arbitrary: record({ ask: constant('answer'), at, call, behind: fc.constantFrom(0, 0, 1) }),
  },
  { weight: 3, arbitrary: record({ ask: constant('move'), at, call, behind: fc.constantFrom(0, 0, 0, 1) }) },
);

interface Change {
  readonly id: string;
  readonly what:
    | 'joins'
    | 'leaves'
    | 'returns'
    | 'has a new instance'
    | 'drains'
    | 'weighs 0'
    | 'weighs 1000';
}
const what = fc.constantFrom<Change['what'][]>(
  ...(['joins', 'joins', 'leaves', 'returns', 'has a new instance'] as const),
  ...(['drains', 'weighs 0', 'weighs 1000'] as const),
);
const change: fc.Arbitrary<Change> = record({ id: relayId, what });

async function apply(model: Model, world: SelectorWorld, { id, what }: Change): Promise<void> {
  const relay = model.relays.get(id);
  const born = () => aRelay({ id, instance: `life-${++model.lives}` });
  const changed: Record<Change['what'], () => Relay | undefined> = {
    joins: () => relay ?? born(),
    leaves: () => undefined,
    returns: () => relay ?? model.gone.get(id),
    'has a new instance': born,
    drains: () => relay && { ...relay, state: 'draining' },
    'weighs 0': () => relay && { ...relay, weight: 0 },
    'weighs 1000': () => relay && { ...relay, weight: 1000 },
  };
  const next = changed[what]();
  if (relay) {
    model.gone.set(id, relay);
  }
  if (next) {
    model.relays.set(id, next);
  } else {
    model.relays.delete(id);
  }
  await world.register(id, next);
}

const changes = change.map((each) =>
  step(`${each.id} ${each.what}`, (model, world) => apply(model, world, each)),
);

const questions = question.map((one) => together([one], []));
const manyQuestions = fc
  .tuple(
    fc.array(question, { minLength: 2, maxLength: 5, size: 'max' }),
    fc.uniqueArray(change, { maxLength: 2, selector: ({ id }) => id }),
  )
  .map(([questions, changes]) => together(questions, changes));

function together(questions: readonly Question[], changes: readonly Change[]): Step {
  const texts = [
    ...questions.map(({ ask, call, at }) => `${ask} ${call} at ${at}`),
    ...changes.map(({ id, what }) => `${id} ${what}`),
  ];
  return step(texts.join(' + '), (model, world) => askTogether(model, world, questions, changes));
}

const intent = fc
  .record({ id: relayId, state: fc.constantFrom('draining' as const, 'disabled' as const, undefined) })
  .map(({ id, state }) =>
    step(`intent for ${id}: ${state ?? 'none'}`, async (model, world) => {
      const constraints = state && { state, reason: '', actor: 'test', atMs: 0 };
      if (constraints) {
        model.intents.set(id, constraints);
      } else {
        model.intents.delete(id);
      }
      await world.intend(id, constraints);
    }),
  );

/** A relay returns with its old registration. */
const leaveAndReturn = relayId.map((id) =>
  step(`${id} leaves for a moment`, async (model, world) => {
    const relay = model.relays.get(id);
    if (!relay) {
      return;
    }
    await world.register(id, undefined);
    await world.register(id, relay);
  }),
);

const onReplica = (
  text: string,
  run: (world: SelectorWorld, replica: Replica, model: ReplicaModel) => unknown,
) =>
  at.map((at) =>
    step(`${text} ${at}`, async (model, world) => {
      await run(world, world.replicas[at] as Replica, model.replicas[at] as ReplicaModel);
    }),
  );

const cut = onReplica('cut off', (_world, replica, model) => {
  model.isCut = true;
  replica.connection.cut();
});
const drop = onReplica('break the connections of', (_world, { connection }) => connection.drop());
const late = onReplica('news are late at', (_world, replica, model) => {
  model.isLate = true;
  replica.connection.hold('answers');
});
/** All replicas see the call's relay leave; the replica that gets the request does not see it return. */
const unheardReturn = fc.tuple(call, at).map(([call, at]) =>
  step(`the relay of ${call} leaves for a moment, and ${at} does not see it return`, async (model, world) => {
    const id = world.bindings(call).at(-1)?.binding?.relayId ?? 'r1';
    await apply(model, world, { id, what: 'leaves' });
    await settle(model, world);
    (model.replicas[at] as ReplicaModel).isLate = true;
    (world.replicas[at] as Replica).connection.hold('answers');
    await apply(model, world, { id, what: 'returns' });
    await askTogether(model, world, [{ ask: 'select', at, call }]);
  }),
);
/** The relay that a replica would choose leaves, and the replica does not see that before it binds a call. */
const unheardLoss = fc.tuple(call, at, relayId).map(([call, at, id]) =>
  step(`${id} leaves unseen by ${at}, which selects for ${call}`, async (model, world) => {
    await settle(model, world);
    (model.replicas[at] as ReplicaModel).isLate = true;
    (world.replicas[at] as Replica).connection.hold('answers');
    await apply(model, world, { id, what: 'leaves' });
    await askTogether(model, world, [{ ask: 'select', at, call }]);
  }),
);
/** A replica that has cached a call learns that another one has moved it. */
const moveElsewhere = fc.tuple(call, at, at).map(([call, at, other]) =>
  step(`${call} is cached at ${at} and moved at ${other}`, async (model, world) => {
    await askTogether(model, world, [{ ask: 'select', at, call }]);
    await askTogether(model, world, [{ ask: 'move', at: other, call, behind: 0 }]);
    await askTogether(model, world, [{ ask: 'lookup', at, call }]);
  }),
);
/** A call is released at one replica and begins again at another one, which does not know of the release. */
const beginAgain = fc.tuple(call, at, at).map(([call, at, other]) =>
  step(`${call} is cached at ${at}, ends at ${other} and begins again at ${at}`, async (model, world) => {
    await askTogether(model, world, [{ ask: 'select', at, call }]);
    await askTogether(model, world, [{ ask: 'release', at: other, call }]);
    await askTogether(model, world, [{ ask: 'select', at, call }]);
  }),
);
const restore = onReplica('restore', ({ clock }, { connection }, model) => {
  Object.assign(model, { isCut: false, isLate: false, restoredAtMs: clock.monotonicMs() });
  connection.restore();
});

const lose = fc
  .record({
    at,
    fates: fc.array(fc.constantFrom<Fate>('unsent', 'unanswered', 'late', 'well'), { maxLength: 8 }),
  })
  .map(({ at, fates }) =>
    step(`calls of ${at} to etcd: ${fates.join(', ')}`, (model, world) => {
      const replica = model.replicas[at] as ReplicaModel;
      const { connection } = world.replicas[at] as Replica;
      const left = [...fates];
      replica.failing = left.length;
      connection.fate = () => {
        const next = left.shift() ?? 'well';
        // Only calls after the last failure are sure to succeed: earlier ones may still be under way.
        if (left.length > 0) {
          replica.failing = left.length;
        }
        return next;
      };
      connection.untilLate = () => new Promise((resolve) => setTimeout(resolve, 3));
    }),
  );

const heal = onReplica('no more calls fail at', async (world, replica, model) => {
  replica.connection.fate = () => 'well';
  model.failing = 0;
  await new Promise((resolve) => setTimeout(resolve, 10));
  await world.readHistory();
});

const restart = at.map((at) =>
  step(`restart ${at}`, async (model, world) => {
    const before = world.replicas[at] as Replica;
    before.connection.restore();
    await before.stop();
    model.replicas[at] = newReplica();
    world.replicas[at] = await Replica.start(world);
  }),
);

const outage = step('etcd is down', async (model, world) => {
  for (const [at, replica] of world.replicas.entries()) {
    (model.replicas[at] as ReplicaModel).isCut = true;
    replica.connection.cut();
  }
});

const back = step('etcd is back', healAll);

export async function healAll(model: Model, world: SelectorWorld): Promise<void> {
  const restoredAtMs = world.clock.monotonicMs();
  for (const [at, replica] of world.replicas.entries()) {
    Object.assign(model.replicas[at] as ReplicaModel, { isCut: false, isLate: false, restoredAtMs });
    replica.connection.restore();
  }
  await settle(model, world);
}

const pass = fc
  .oneof(fc.integer({ min: 1, max: 20_000 }), fc.integer({ min: 1, max: 120_000 }), fc.constant(500_000))
  .map((ms) => step(`${ms} ms pass`, (model, world) => advance(model, world, ms)));

const nearlyPass = call.map((call) =>
  step(`until just before ${call} may expire`, (model, world) =>
    advance(model, world, (model.promised.get(call) ?? 0) - 1 - world.clock.monotonicMs()),
  ),
);

async function advance(model: Model, world: SelectorWorld, ms: number): Promise<void> {
  await settle(model, world);
  if (ms > 0) {
    world.clock.advance(ms);
  }
  await checkPromises(model, world);
}

const weighted = (weight: number, ...all: fc.Arbitrary<Step>[]) => new Array(weight).fill(all).flat();
const timeless: readonly fc.Arbitrary<Step>[] = [
  ...weighted(6, questions),
  ...weighted(3, manyQuestions, changes),
  ...weighted(
    1,
    intent,
    leaveAndReturn,
    cut,
    drop,
    late,
    lose,
    heal,
    restart,
    unheardReturn,
    unheardLoss,
    moveElsewhere,
    beginAgain,
  ),
  ...weighted(2, restore),
  ...[outage, back, back].map((each) => fc.constant(each)),
];
/** Without the commands that need an etcd on the same clock. */
export const commandsWithoutTime = fc.commands([...timeless], { maxCommands: 40, size: 'max' });
export const commands = fc.commands([...timeless, ...weighted(2, pass), nearlyPass], {
  maxCommands: 40,
  size: 'max',
});

/** Begins with two relays, so that calls can be bound and moved. */
export async function begin(model: Model, world: SelectorWorld): Promise<void> {
  for (const id of ['r1', 'r2']) {
    await apply(model, world, { id, what: 'joins' });
  }
}

/** After recovery all replicas agree. */
export async function finish(model: Model, world: SelectorWorld): Promise<void> {
  for (const [at, replica] of world.replicas.entries()) {
    replica.connection.fate = () => 'well';
    (model.replicas[at] as ReplicaModel).failing = 0;
  }
  await healAll(model, world);
  for (const call of callKeys) {
    await askTogether(
      model,
      world,
      world.replicas.map((_, at) => ({ ask: 'lookup', at, call })),
    );
    for (const at of world.replicas.keys()) {
      await askTogether(model, world, [{ ask: 'select', at, call }]);
    }
  }
}

/** Unused bindings expire. */
export async function expire(world: SelectorWorld): Promise<void> {
  const longest = Math.max(settings.callTtlSeconds, 600) * 1.5 * 1.2 + 120;
  world.clock.advance(longest * 1000);
  world.clock.advance(10_000);
  assert.deepEqual([...(await world.bound())], [], 'unused bindings have not expired');
}
