import test from 'ava';
import { Random } from '../../chaos/plan/random.js';
import { check } from '../../simulation/check/check.js';
import type { History, Operation } from '../../simulation/check/history.js';
import { Host, SimProcess } from '../../simulation/kernel/process.js';
import { Scheduler } from '../../simulation/kernel/scheduler.js';
import { simulate } from '../../simulation/simulation.js';

test.serial('a seed gives one history, to the last event', async (t) => {
  const options = { seed: 7, untilMs: 12_000 };
  const first = await simulate(options);
  const second = await simulate(options);
  t.is(second.hash, first.hash);
  t.is(second.events, first.events);
  t.true(first.history.operations.length > 50);
  t.deepEqual(first.violations, []);
});

test.serial('another seed gives another history', async (t) => {
  const hashes = await Promise.resolve([8, 9]).then(async ([one = 0, other = 0]) => [
    (await simulate({ seed: one, untilMs: 8000 })).hash,
    (await simulate({ seed: other, untilMs: 8000 })).hash,
  ]);
  t.not(hashes[0], hashes[1]);
});

test('what falls due in a frozen process happens when it goes on, and in a dead one never', async (t) => {
  const scheduler = new Scheduler();
  const host = new Host('10.0.0.1', scheduler, new Random(1));
  const process = new SimProcess('one', host);
  const seen: string[] = [];
  process.after(10, () => seen.push(`first at ${scheduler.nowMs}`));
  process.after(20, () => seen.push(`second at ${scheduler.nowMs}`));
  process.freeze();
  await scheduler.run(100);
  t.deepEqual(seen, []);
  process.thaw();
  await scheduler.run(200);
  t.deepEqual(seen, ['first at 100', 'second at 100']);
  process.after(1, () => seen.push('of the dead'));
  process.kill();
  await scheduler.run(300);
  t.is(seen.length, 2);
});

test('what an event settles has its turn before the next event', async (t) => {
  const scheduler = new Scheduler();
  const process = new SimProcess('one', new Host('10.0.0.1', scheduler, new Random(1)));
  const seen: string[] = [];
  process.after(1, () => {
    void Promise.resolve()
      .then(() => Promise.resolve())
      .then(() => seen.push('a promise'));
  });
  process.after(1, () => seen.push('the next event'));
  await scheduler.run(10);
  t.deepEqual(seen, ['a promise', 'the next event']);
});

const base: Operation = {
  front: 'grpc',
  method: 'select',
  callId: 'c',
  replica: 'replica1',
  life: 1,
  inDialog: false,
  invokeMs: 0,
  returnMs: 1,
  outcome: 'ok',
  carriers: [],
};

const answer = (relay: string, generation: number, state = 'ANSWERED') => ({
  relay,
  instance: `of ${relay}`,
  generation,
  createdAtMs: 0,
  expiresAtMs: 0,
  released: state === 'RELEASED',
  state,
  freshness: 'fresh' as const,
});

function historyOf(...operations: Partial<Operation>[]): History {
  return {
    seed: 1,
    withoutQuorum: 'available',
    settings: { setupTtlSeconds: 300, callTtlSeconds: 3600 },
    operations: operations.map((each, at) => ({
      ...base,
      invokeMs: at * 100,
      returnMs: at * 100 + 1,
      ...each,
    })),
    faults: [],
    lives: new Map(),
    healedMs: 1_000_000,
    settledMs: 1_000_000,
    live: [],
    final: [],
    crashes: [],
    log: [],
  };
}

const namesOf = (history: History) => [...new Set(check(history).map((each) => each.check))];

test('one generation on two relays is found', (t) => {
  const history = historyOf(
    { answer: answer('r1', 1, 'SETUP') },
    { answer: answer('r2', 1, 'SETUP'), replica: 'replica2' },
  );
  t.deepEqual(namesOf(history), ['agreement']);
});

test('a replica that goes back is found at once, another one after it must have heard', (t) => {
  const moved = {
    method: 'move',
    generation: 1,
    requestId: 'm',
    answer: answer('r2', 2),
    inDialog: true,
  } as const;
  const old = { method: 'lookup', answer: answer('r1', 1), inDialog: true } as const;
  t.deepEqual(namesOf(historyOf({ answer: answer('r1', 1) }, moved, old)), ['order']);
  t.deepEqual(namesOf(historyOf({ answer: answer('r1', 1) }, moved, { ...old, replica: 'replica2' })), []);
  const late = { ...old, replica: 'replica2', invokeMs: 20_000, returnMs: 20_001 };
  t.deepEqual(namesOf(historyOf({ answer: answer('r1', 1) }, moved, late)), ['order']);
});

test('a call that nobody has used for its TTL, and no relay carries, may begin anew', (t) => {
  const moved = { method: 'move', generation: 1, inDialog: true, answer: answer('r2', 2) } as const;
  const anew = (seconds: number, carriers: string[] = []) => ({
    ...historyOf(
      { answer: answer('r1', 1) },
      moved,
      { method: 'lookup', inDialog: true, answer: answer('r2', 2), carriers, invokeMs: 9000, returnMs: 9001 },
      { inDialog: true, answer: answer('r3', 1), invokeMs: seconds * 1000, returnMs: seconds * 1000 + 1 },
    ),
    settings: { setupTtlSeconds: 12, callTtlSeconds: 15 },
  });
  t.deepEqual(namesOf(anew(20)), []);
  t.deepEqual(namesOf(anew(14)), ['agreement', 'order']);
  t.deepEqual(namesOf(anew(20, ['r2.1'])), ['agreement', 'order']);
});

test('two moves of one generation are found', (t) => {
  const move = { method: 'move', generation: 1, inDialog: true, answer: answer('r2', 2) } as const;
  t.deepEqual(namesOf(historyOf({ ...move, requestId: 'a' }, { ...move, requestId: 'b' })), ['moves once']);
  t.deepEqual(namesOf(historyOf({ ...move, requestId: 'a' }, { ...move, requestId: 'a' })), []);
});

test('a call in progress that goes elsewhere is found, unless its relay was hit', (t) => {
  const offer = { front: 'ng', method: 'offer', media: 'r1.1', carriers: ['r1.1'] } as const;
  const history = historyOf(
    offer,
    { ...offer, method: 'answer', inDialog: true },
    { ...offer, method: 'query', inDialog: true },
    { ...offer, method: 'reoffer', inDialog: true, media: 'r2.1', carriers: ['r1.1', 'r2.1'] },
  );
  t.deepEqual(namesOf(history), ['stickiness']);
  const fault = {
    kind: 'relay-kill',
    touches: ['r1'],
    beginMs: 0,
    endMs: 100,
    promised: 'nothing',
    graceMs: 1000,
    excusesMoves: true,
  } as const;
  t.deepEqual(namesOf({ ...history, faults: [fault] }), []);
});

test('an answer that sends a call where it is not carried is found', (t) => {
  const there = { answer: answer('r1', 1), carriers: ['r1.1'] };
  const history = historyOf(
    there,
    { ...there, inDialog: true },
    { ...there, inDialog: true, carriers: ['r2.1'] },
  );
  t.deepEqual(namesOf(history), ['media']);
});

test('a call that begins again is not answered with its end', (t) => {
  t.deepEqual(namesOf(historyOf({ answer: answer('r1', 1, 'RELEASED') })), ['released']);
});

const outage = {
  kind: 'etcd-outage',
  touches: ['etcd'],
  beginMs: 30_000,
  endMs: 80_000,
  promised: 'answered',
  graceMs: 5000,
  excusesMoves: false,
} as const;

test('a refusal while nothing is wrong is found, and no promise while etcd is away', (t) => {
  const refused = { outcome: 'refused', reason: 'no', invokeMs: 50_000, returnMs: 50_001 } as const;
  t.deepEqual(namesOf(historyOf(refused)), ['service']);
  t.deepEqual(namesOf({ ...historyOf(refused), faults: [outage] }), ['service']);
  t.deepEqual(namesOf({ ...historyOf(refused), faults: [{ ...outage, beginMs: 49_000 }] }), []);
  t.deepEqual(namesOf({ ...historyOf(refused), withoutQuorum: 'strict', faults: [outage] }), []);
  t.deepEqual(
    namesOf(historyOf({ ...refused, invokeMs: 1100, returnMs: 1101 })),
    [],
    'no relay is registered yet',
  );
});

test('a promise of another relay for a call that was answered just before is found', (t) => {
  const elsewhere = { ...answer('r2', 0), freshness: 'provisional' } as const;
  const known = (seconds: number) =>
    historyOf(
      { answer: answer('r1', 1), invokeMs: seconds * 1000, returnMs: seconds * 1000 + 1 },
      { answer: elsewhere, inDialog: true, invokeMs: 50_000, returnMs: 50_001 },
    );
  t.deepEqual(namesOf({ ...known(25), faults: [outage] }), ['remembered']);
  // Its time may have run out between.
  const other = { ...outage, kind: 'relay-freeze', touches: ['r3'], beginMs: 10_000 };
  t.deepEqual(namesOf({ ...known(5), faults: [other, outage] }), []);
});

test('a replica that has answered a call just before etcd went away, and knows nothing of it then, is found', (t) => {
  const forgotten = {
    method: 'lookup',
    inDialog: true,
    outcome: 'unknown',
    reason: 'UNAVAILABLE',
    invokeMs: 50_000,
    returnMs: 50_001,
  } as const;
  const begun = { answer: answer('r1', 1), invokeMs: 25_000, returnMs: 25_001 };
  const history = { ...historyOf(begun, forgotten), faults: [outage] };
  t.deepEqual(namesOf(history), ['remembered']);
  t.deepEqual(namesOf({ ...historyOf(begun, { ...forgotten, replica: 'replica2' }), faults: [outage] }), []);
  // What it remembers was dated by a clock that is wrong.
  const step = {
    ...outage,
    kind: 'clock-step replica2 by 300 s',
    touches: ['replica2'],
    promised: 'fresh',
  } as const;
  t.deepEqual(namesOf({ ...history, faults: [outage, { ...step, beginMs: 20_000, endMs: 26_000 }] }), []);
  const ended = { method: 'release', inDialog: true, invokeMs: 26_000, returnMs: 26_001 } as const;
  t.deepEqual(namesOf({ ...historyOf(begun, ended, forgotten), faults: [outage] }), []);
});

test('a relay that knows a call no more which it has just carried is found, whatever else was wrong', (t) => {
  const at = { front: 'ng', media: 'r1.1', inDialog: true } as const;
  const begun = { ...at, method: 'offer', inDialog: false } as const;
  const answered = { ...at, method: 'answer' } as const;
  const asked = { invokeMs: 30_000, returnMs: 30_001 };
  const lost = { ...at, ...asked, method: 'query', outcome: 'refused', reason: 'Unknown call-id' } as const;
  const hit = {
    kind: 'datagram-errno',
    touches: ['replica1', 'r1'],
    beginMs: 0,
    endMs: 100,
    promised: 'nothing',
    graceMs: 10_000,
    excusesMoves: true,
  } as const;
  t.deepEqual(namesOf({ ...historyOf(begun, answered, lost), faults: [hit] }), ['media']);
  // What nobody has answered may have moved it.
  const unanswered = { ...at, method: 'reoffer', media: undefined, outcome: 'unknown' } as const;
  t.deepEqual(namesOf({ ...historyOf(begun, answered, unanswered, lost), faults: [hit] }), []);
  // Nor is another relay, or another life of the same one, expected to have it.
  t.deepEqual(namesOf({ ...historyOf(begun, answered, { ...lost, media: 'r1.2' }), faults: [hit] }), []);
});

test('in the end every living relay is listed, and every call in progress is found', (t) => {
  const life = { name: 'r1.1', bornMs: 0, diedMs: Number.POSITIVE_INFINITY };
  const lives = new Map([['r1', [life]]]);
  const final = [{ replica: 'replica1', relays: [], isFresh: true }];
  t.deepEqual(namesOf({ ...historyOf(), lives, final }), ['relays registered']);
  const begun = { answer: answer('r1', 1), carriers: ['r1.1'] };
  const lost = {
    method: 'lookup',
    inDialog: true,
    outcome: 'refused',
    reason: 'NOT_FOUND',
    carriers: ['r1.1'],
  } as const;
  const live = [{ callId: 'c', media: 'r1.1' }];
  const history = { ...historyOf(begun, { ...lost, invokeMs: 2_000_000, returnMs: 2_000_001 }), lives, live };
  t.deepEqual(namesOf(history), ['live calls']);
});

test('in the end a call may be where a move took it that nobody had answered, and nowhere else', (t) => {
  const lives = new Map([['r1', [{ name: 'r1.1', bornMs: 0, diedMs: Number.POSITIVE_INFINITY }]]]);
  const live = [{ callId: 'c', media: 'r1.1' }];
  const carriers = ['r1.1'];
  const begun = { answer: answer('r1', 1), carriers };
  const move = { method: 'move', generation: 1, inDialog: true, outcome: 'unknown', carriers } as const;
  const last = {
    method: 'lookup',
    inDialog: true,
    invokeMs: 2_000_000,
    returnMs: 2_000_001,
    carriers,
  } as const;
  const moved = { ...last, answer: answer('r2', 2) };
  const of = (...operations: Partial<Operation>[]) => namesOf({ ...historyOf(...operations), lives, live });
  t.deepEqual(of(begun, move, moved), []);
  t.deepEqual(of(begun, moved), ['live calls', 'media']);
  t.deepEqual(of(begun, move, { ...last, answer: answer('r2', 1) }), ['live calls', 'agreement']);
});

test('a process that throws is found', (t) => {
  const crashes = [{ atMs: 1, process: 'replica1.1', error: new Error('unread') }];
  t.deepEqual(namesOf({ ...historyOf(), crashes }), ['no crash']);
});
