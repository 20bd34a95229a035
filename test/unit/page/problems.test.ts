import test from 'ava';
import { HoldfastError } from '../../../services/domain/error.js';
import type { GoneRelay, RegisteredRelay } from '../../../services/domain/relay.js';
import { EventRing } from '../../../services/history/event-ring.js';
import { problemsOf } from '../../../services/page/problems.js';
import type { ReplicaState } from '../../../services/page/state.js';
import { ManualClock } from '../../support/clock.js';
import { aRelay } from '../../support/registry.js';
import { stateAt } from './scene.js';

const clock = new ManualClock();

const registered = (of: Partial<RegisteredRelay> = {}): RegisteredRelay => ({
  relay: aRelay(),
  revision: 1,
  ...of,
});

const state = (of: Partial<ReplicaState> = {}) => stateAt(clock, of);

const texts = (of: Partial<ReplicaState>) =>
  problemsOf(state(of)).map(({ level, text }) => `${level}: ${text}`);

const gone = (id: string, of: Partial<GoneRelay> = {}): GoneRelay => ({
  ...registered({ relay: aRelay({ id }) }),
  atMs: 0,
  reason: 'a test',
  ...of,
});

const full = registered({
  relay: aRelay({ id: 'full', capacity: 1 }),
  load: { calls: 1, cpu: 0, packetRate: 0, atMs: 0 },
});

const drained = { state: 'draining', reason: '', actor: '', atMs: 0 } as const;

test('where all is well there is no problem', (t) => {
  t.deepEqual(texts({}), []);
});

test('etcd that is lost comes first, with what becomes of calls', (t) => {
  const lost = new HoldfastError('unavailable', 'no quorum');
  const etcd = { lost: () => lost, lostForMs: () => 12_400, isLive: () => false };
  const problems = problemsOf(state({ etcd, gone: () => [gone('r2')] }));
  t.deepEqual(
    problems.map(({ level, text }) => [level, text]),
    [
      ['critical', 'etcd has been lost for 12 s: no quorum'],
      ['warning', 'default/r2 left within the last 24 h and is not back: a test'],
    ],
  );
  t.regex(problems[0]?.advice ?? '', /Restart nothing: .* given a relay provisionally\./);
  t.regex(problemsOf(state({ etcd, withoutQuorum: 'strict' }))[0]?.advice ?? '', /are refused\./);
});

test('a view that is behind, a replica that is not ready, and settings that differ', (t) => {
  t.deepEqual(texts({ etcd: { lost: () => undefined, lostForMs: () => 0, isLive: () => false } }), [
    'warning: this replica gets no updates from etcd; it shows what it knew last',
  ]);
  t.deepEqual(texts({ notReady: () => 'not ready yet' }), ['critical: not ready yet']);
  const differing = ['HOLDFAST_LINGER_SECONDS'];
  const replicas = () => [
    { name: 'a', isOwn: true, differing: [] },
    { name: 'b', isOwn: false, differing },
    { name: 'c', isOwn: false, differing },
  ];
  t.deepEqual(texts({ replicas }), ['warning: b, c have different values for HOLDFAST_LINGER_SECONDS']);
});

test('a set without a relay that takes calls is told with what to do', (t) => {
  t.deepEqual(texts({ relays: () => [] }), ['critical: no relay is registered']);
  const relays = () => [
    registered(),
    registered({ relay: aRelay({ id: 'e1', set: 'edge' }), intent: drained }),
  ];
  const [problem] = problemsOf(state({ relays }));
  t.is(problem?.text, 'no relay of set edge takes new calls: 1 is draining, disabled or of weight 0');
  t.is(problem?.advice, 'holdfast resume --set edge e1');
  const advice = (of: Partial<RegisteredRelay>) =>
    problemsOf(state({ relays: () => [registered(of)] }))[0]?.advice;
  const weightless = { ...drained, weight: 0 };
  t.is(advice({ intent: { ...weightless, state: 'active' } }), 'holdfast weight r1 100');
  t.is(advice({ intent: weightless }), 'holdfast resume r1 && holdfast weight r1 100');
  t.regex(advice({ relay: aRelay({ state: 'draining' }) }) ?? '', /^Start relay nodes/, 'no intent helps');
  t.deepEqual(texts({ relays: () => [full] }), [
    'critical: every relay of set default that takes calls is full',
    'warning: default/full is full',
  ]);
});

test('relays that are gone, suspect, full or silent are one problem of each kind, however many', (t) => {
  const many = Array.from({ length: 30 }, (_, i) => gone(`r${i}`));
  t.deepEqual(texts({ gone: () => many }), [
    'warning: default/r0, default/r1, default/r2, default/r3, default/r4 and 25 more left within the last 24 h and are not back: a test',
  ]);
  t.deepEqual(texts({ gone: () => [gone('r1', { intent: drained })] }), [], 'somebody has taken it away');
  const silent = {
    reason: 'silence',
    relay: aRelay({ id: 'r2' }),
    load: { calls: 0, cpu: 0, packetRate: 0, atMs: 0, departure: 'silent' as const },
  };
  const apart = problemsOf(state({ gone: () => [gone('r1'), gone('r2', silent), gone('r3')] }));
  t.deepEqual(
    apart.map(({ text, advice }) => [text, advice.replace(/\..*/, '')]),
    [
      [
        'default/r1, default/r3 left within the last 24 h and are not back: a test',
        'Look at their hosts, and at the logs of their relay nodes',
      ],
      ['default/r2 left within the last 24 h and is not back: silence', 'Look at the relay'],
    ],
  );
  t.deepEqual(texts({ isSuspect: () => true }), [
    'critical: default/r1 vanished along with many others; this is being checked again',
  ]);
  t.deepEqual(texts({ relays: () => [registered(), full] }), ['warning: default/full is full']);
  const overdue = registered({ loadHeardAtMs: clock.monotonicMs() - 15_001 });
  t.deepEqual(texts({ relays: () => [overdue] }), ['warning: default/r1 has not reported for 15 s']);
});

test('calls that were refused are a problem for a minute', (t) => {
  const feed = new EventRing(clock);
  const add = (calls: number, reason: string, why: string) =>
    feed.add({
      type: 'calls-refused',
      severity: 'critical',
      text: `${calls} calls refused by ng: ${why}`,
      calls,
      reason,
    });
  add(100, 'no-relay', 'old');
  clock.advance(60_001);
  add(2, 'no-relay', 'none is eligible');
  add(3, 'no-relay', 'none is eligible');
  add(1, 'relays-full', 'all are full');
  t.deepEqual(texts({ feed }), [
    'critical: 6 calls were refused within the last minute: none is eligible; all are full',
  ]);
  clock.advance(60_001);
  t.deepEqual(texts({ feed }), []);
});

test('a certificate that expires within a week is a problem, and a critical one once it has', (t) => {
  const day = 86_400_000;
  const expiring = (validUntilMs: number | undefined) =>
    texts({ certificates: () => [{ purpose: 'grpc', validUntilMs }] });
  t.deepEqual(expiring(undefined), []);
  t.deepEqual(expiring(clock.wallMs() + 8 * day), []);
  t.deepEqual(expiring(clock.wallMs() + 3.5 * day), [
    'warning: the certificate of this replica for grpc expires in 3 days',
  ]);
  t.deepEqual(expiring(clock.wallMs() + 3_700_000), [
    'warning: the certificate of this replica for grpc expires in 1 h',
  ]);
  t.deepEqual(expiring(clock.wallMs() - 1), [
    'critical: the certificate of this replica for grpc has expired',
  ]);
});
