import test from 'ava';
import { HoldfastError } from '../../../services/domain/error.js';
import { QuorumMonitor } from '../../../services/etcd/quorum-monitor.js';
import { ManualClock } from '../../support/clock.js';
import { errorOf } from '../../support/registry.js';

const unavailable = () => new HoldfastError('unavailable', 'no answer');
/** Lets promises that are settled be heard. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

function open() {
  const clock = new ManualClock();
  const changes: boolean[] = [];
  let answers = true;
  let refusal: Error | undefined;
  let probes = 0;
  const quorum = new QuorumMonitor({
    probe: async () => {
      probes++;
      if (refusal) {
        throw refusal;
      }
      if (!answers) {
        throw new Error('refused');
      }
    },
    timeoutMs: 1000,
    onChange: (lost) => void changes.push(lost !== undefined),
    clock,
  });
  const advance = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += 10) {
      clock.advance(10);
      await settle();
    }
  };
  return {
    clock,
    quorum,
    changes,
    advance,
    probes: () => probes,
    setAnswers: (value: boolean) => {
      answers = value;
    },
    setRefusal: (error: Error | undefined) => {
      refusal = error;
    },
    ask: (outcome: 'answer' | 'failure', kind: 'read' | 'write' = 'write') =>
      errorOf(
        quorum.ask(kind, () => (outcome === 'answer' ? Promise.resolve() : Promise.reject(unavailable()))),
      ),
  };
}

test('failures in a row are a loss; until then each is its own', async (t) => {
  const { quorum, changes, ask, advance, setAnswers } = open();
  setAnswers(false);
  t.is(await ask('failure'), 'unavailable');
  t.is(quorum.lost, undefined, 'one may be a packet that was lost');
  await advance(300);
  t.regex(quorum.lost?.message ?? '', /^etcd is out of reach: /);
  t.deepEqual(changes, [true]);
  t.is(quorum.counters.losses, 1);
  t.true(quorum.lostForMs > 0);
});

test('many failures at one moment are no loss while etcd answers', async (t) => {
  const { quorum, ask, advance } = open();
  await Promise.all(Array.from({ length: 50 }, () => ask('failure')));
  await advance(1000);
  t.is(quorum.lost, undefined);
});

test('what was asked before the last answer proves nothing', async (t) => {
  const { quorum, ask, advance, probes } = open();
  const late: ((error: Error) => void)[] = [];
  const waiting = Array.from({ length: 5 }, () =>
    errorOf(quorum.ask('write', () => new Promise((_, reject) => void late.push(reject)))),
  );
  await advance(10);
  await ask('answer');
  for (const reject of late) {
    reject(unavailable());
    await advance(50);
  }
  t.deepEqual(await Promise.all(waiting), new Array(5).fill('unavailable'));
  t.is(quorum.lost, undefined);
  t.is(probes(), 0);
});

test('silence is looked into, and those who wait are told of the loss', async (t) => {
  const { quorum, changes, advance, setAnswers } = open();
  setAnswers(false);
  const waiting = errorOf(quorum.ask('write', () => new Promise(() => {})));
  await advance(1000);
  t.is(await waiting, 'unavailable');
  t.deepEqual(changes, [true]);
  let asked = false;
  t.is(
    await errorOf(
      quorum.ask('write', async () => {
        asked = true;
      }),
    ),
    'unavailable',
  );
  t.false(asked, 'what is lost is not asked');
});

test('a question that takes long is no loss while probes are answered', async (t) => {
  const { quorum, advance, probes } = open();
  let answer = () => {};
  const slow = quorum.ask('write', () => new Promise<void>((resolve) => (answer = resolve)));
  await advance(5000);
  t.is(quorum.lost, undefined);
  t.true(probes() > 0);
  answer();
  await slow;
});

test('the first answer ends the loss; probes go on until then, and no longer', async (t) => {
  const { quorum, changes, ask, advance, probes, setAnswers } = open();
  setAnswers(false);
  await ask('failure');
  await advance(60_000);
  const during = probes();
  t.true(during > 200 && during < 400, `${during} probes in a minute`);
  setAnswers(true);
  await advance(300);
  t.is(quorum.lost, undefined);
  t.is(quorum.lostForMs, 0);
  t.deepEqual(changes, [true, false]);
  const after = probes();
  await advance(5000);
  t.is(probes(), after);
  t.is(await ask('answer'), 'no error');
});

test('errors that are no silence are no loss', async (t) => {
  const { quorum, advance } = open();
  for (let i = 0; i < 10; i++) {
    const overloaded = Promise.reject(new HoldfastError('overloaded', 'much to do'));
    t.is(await errorOf(quorum.ask('write', () => overloaded)), 'overloaded');
    await advance(100);
  }
  t.is(quorum.lost, undefined);
});

test('a loss is noticed where nobody asks, once there is a reason to look', async (t) => {
  const { quorum, changes, advance, setAnswers, probes } = open();
  quorum.look();
  await advance(100);
  t.is(probes(), 1, 'one answer is enough');
  setAnswers(false);
  quorum.look();
  await advance(500);
  t.deepEqual(changes, [true]);
});

test('it is in one state at a time, and each has its cause', async (t) => {
  const { quorum, ask, advance, setAnswers } = open();
  t.is(quorum.state.name, 'answering');
  setAnswers(false);
  await ask('failure');
  t.like(quorum.state, { name: 'doubtful' });
  setAnswers(true);
  await advance(100);
  t.is(quorum.state.name, 'answering', 'a probe was answered');
  setAnswers(false);
  quorum.look();
  t.like(quorum.state, { name: 'doubtful', failures: 0 }, 'a reason to look is no failure');
  await advance(500);
  t.is(quorum.state.name, 'lost');
  quorum.look();
  t.is(quorum.state.name, 'lost');
  const stopped = quorum.stop();
  t.is(quorum.state.name, 'stopped');
  await advance(10);
  await Promise.all([stopped, quorum.stop()]);
});

test('what ends after the stop changes nothing', async (t) => {
  const { quorum, changes, advance } = open();
  const ends: (() => void)[] = [];
  const waiting = [
    quorum.ask('write', () => new Promise<void>((resolve) => void ends.push(resolve))),
    errorOf(
      quorum.ask('write', () => new Promise((_, reject) => void ends.push(() => reject(unavailable())))),
    ),
  ];
  await quorum.stop();
  for (const end of ends) {
    end();
  }
  await Promise.all(waiting);
  await advance(1000);
  t.is(quorum.state.name, 'stopped');
  t.deepEqual(changes, []);
});

test('nothing is probed after the stop', async (t) => {
  const { quorum, ask, advance, probes, setAnswers } = open();
  setAnswers(false);
  await ask('failure');
  await advance(500);
  const stopped = quorum.stop();
  await advance(10);
  await stopped;
  const before = probes();
  await advance(5000);
  t.is(probes(), before);
});

const refusals = [
  ['8 RESOURCE_EXHAUSTED: etcdserver: mvcc: database space exceeded', /^etcd refuses writes: its space is/],
  ['7 PERMISSION_DENIED: etcdserver: permission denied', /^etcd refuses writes: etcd does not permit this/],
] as const;

for (const [text, reason] of refusals) {
  test(`etcd is lost while it refuses writes, and answers reads: ${text}`, async (t) => {
    const { quorum, changes, ask, advance, setRefusal, clock } = open();
    quorum.start();
    t.teardown(() => quorum.stop());
    await advance(2000);
    setRefusal(new Error(text));
    const sinceMs = clock.monotonicMs();
    while (!quorum.lost) {
      await ask('answer', 'read');
      await advance(10);
    }
    t.true(clock.monotonicMs() - sinceMs <= 600);
    t.regex(quorum.lost.message, reason);
    await advance(10_000);
    t.deepEqual(changes, [true], 'told once');
    setRefusal(undefined);
    await advance(250);
    t.deepEqual(changes, [true, false]);
  });
}

test('reads that are answered do not make up for writes that are not', async (t) => {
  const { quorum, ask, advance, setAnswers } = open();
  setAnswers(false);
  for (let i = 0; i < 40; i++) {
    await ask('failure');
    await ask('answer', 'read');
    await advance(10);
  }
  t.regex(quorum.lost?.message ?? '', /^etcd is out of reach: /);
});

test('etcd is probed where nobody writes, and not where somebody does', async (t) => {
  const { quorum, ask, advance, probes } = open();
  quorum.start();
  await advance(5000);
  const idle = probes();
  t.true(idle >= 11 && idle <= 13, `${idle} probes in 5 s`);
  for (let i = 0; i < 50; i++) {
    await ask('answer');
    await advance(100);
  }
  t.is(probes(), idle);
  await quorum.stop();
  await advance(5000);
  t.is(probes(), idle);
});
