import test from 'ava';
import { bad, good, testCoverage } from '../../support/checked-history.js';
import { SampleHistory } from '../../support/sample-history.js';

/** Two relays, and a call that request `q1` has bound to the first. */
const bound = () => new SampleHistory().register('r1', 'i1').register('r2', 'i2').bind();

const second = { relay: 'r2', instance: 'i2', generation: 2 };
const isNew = { answer: { origin: 'new' } } as const;
const existing = { answer: { origin: 'existing' } } as const;
const moved = { answer: { ...second, origin: 'moved' } } as const;
const move = { request: 'm1', generation: 1 };

good('a call that is bound, selected again, moved on request, released and expired', () =>
  bound()
    .ask('select', { request: 'q1' }, isNew)
    .ask('select', { request: 'q2', replica: 's2' }, existing)
    .ask('lookup', {}, existing)
    .ask('move', move, { outcome: 'unknown' })
    .bind({ ...second, request: 'm1' })
    .ask('move', move, { answer: second })
    .ask('select', { request: 'q3' }, moved)
    .bind({ ...second, request: 'm1', state: 'released' })
    .ask('release', {}, { found: true })
    .pass(25)
    .unbind()
    .ask('lookup', {}, { outcome: 'refused', reason: 'NOT_FOUND: no binding' }),
);

good('a write with an unknown outcome, and its retry', () =>
  new SampleHistory()
    .register('r1', 'i1')
    .ask('select', { request: 'q1' }, { outcome: 'unknown' })
    .bind()
    .ask('select', { request: 'q1', replica: 's2' }, isNew),
);

bad('a revision that is missing from the log', 'log is whole', () => bound().bind().lose().bind().bind());

bad('a binding over another one', 'one binding', () =>
  bound().bind({ relay: 'r2', instance: 'i2', request: 'q2', createdAtMs: 5 }),
);
bad('another relay in the same generation', 'generation', () =>
  bound().bind({ relay: 'r2', instance: 'i2' }),
);
bad('a skipped generation', 'generation', () => bound().bind({ ...second, generation: 3 }));
bad('a call that begins with its second generation', 'generation', () =>
  new SampleHistory().register('r2', 'i2').bind(second),
);

bad('a relay that is not registered', 'live target', () => new SampleHistory().bind());
bad('a relay that is registered with another instance', 'live target', () =>
  new SampleHistory().register('r1', 'i0').bind(),
);
bad('a relay that has left', 'live target', () =>
  new SampleHistory().register('r1', 'i1').unregister('r1').bind(),
);

good('a move from a relay that has left', () => bound().unregister('r1').bind(second));
good('a move from a relay that has restarted', () => bound().register('r1', 'i9').bind(second));
good('a move that a gateway makes because the relay did not answer the offer', () =>
  bound()
    .ask('offer', {}, {})
    .bind({ ...second, request: 'g1' }),
);
bad('a move without a cause', 'cause of move', () => bound().bind({ ...second, request: 'q7' }));
bad('a move whose request named another generation', 'cause of move', () =>
  bound()
    .ask('move', { request: 'm1', generation: 4 }, { outcome: 'unknown' })
    .bind({ ...second, request: 'm1' }),
);
bad('a move by an offer that ended long before', 'cause of move', () =>
  bound()
    .ask('offer', {}, {})
    .pass(15)
    .bind({ ...second, request: 'g1' }),
);
bad('a move by an offer once the call was answered', 'cause of move', () =>
  bound()
    .bind({ state: 'answered' })
    .ask('offer', {}, {})
    .bind({ ...second, state: 'answered', request: 'g1' }),
);
bad('a move that caches are not told of', 'move is told', () =>
  bound().unregister('r1').bind(second, { unpublished: true }),
);

const ended = () => bound().bind({ state: 'answered' }).bind({ state: 'released' });
const again = { request: 'q2', begun: 'q2' };
good('a call that was answered, ended and began again', () =>
  ended()
    .bind(again)
    .ask('select', { request: 'q2' }, isNew)
    .ask('select', { request: 'q3', replica: 's2' }, existing)
    .ask('select', { request: 'q1', replica: 's2' }, existing)
    .bind({ ...again, state: 'answered' }),
);
bad('another beginning that caches are not told of', 'move is told', () =>
  ended().bind(again, { unpublished: true }),
);
good('a call whose relay takes an answer after its release', () => ended().bind({ state: 'answered' }));
bad('an answered call that is in setup again', 'state', () => bound().bind({ state: 'answered' }).bind());
bad('a released call that is in setup without a new beginning', 'state', () => ended().bind());
bad('a call that begins again while it is in progress', 'state', () =>
  bound().bind({ state: 'answered' }).bind(again),
);
bad('a call that is in progress from another beginning', 'state', () =>
  ended().bind({ ...again, state: 'answered' }),
);
bad('EXISTING for the only request that made the binding', 'retries converge', () =>
  ended().ask('select', { request: 'q1' }, existing),
);
bad('NEW for a request that did not begin the call again', 'retries converge', () =>
  ended().bind(again).ask('select', { request: 'q3' }, isNew),
);
good('a binding that ran out while etcd was away, and is asserted again', () =>
  bound().unregister('r1').bind(second).pass(23).unbind().bind(second),
);
bad('one that is asserted above all that it was', 'generation', () =>
  bound()
    .pass(23)
    .unbind()
    .bind({ ...second, generation: 3 }),
);
good('a call that began again, and is forgotten after the TTL of that beginning', () =>
  bound()
    .ask('select', { request: 'q5' }, existing)
    .bind({ state: 'released' })
    .bind({ ...again })
    .ask('select', { request: 'q2' }, isNew)
    .pass(23)
    .unbind(),
);

good('a call that is forgotten after its TTL', () =>
  bound().ask('select', { request: 'q1' }, isNew).pass(23).unbind(),
);
bad('a call that expires before its TTL', 'lifetime', () => bound().pass(10).unbind());
bad('a call that expires before the TTL of its last use', 'lifetime', () =>
  bound().ask('select', { request: 'q2' }, existing).pass(25).unbind(),
);
bad('a released call that is forgotten at once', 'lifetime', () =>
  bound().bind({ state: 'released', expiresAtMs: 0 }).pass(5).unbind(),
);

good('an answer shortly after a move that the replica does not know yet', () =>
  bound().unregister('r1').bind(second).pass(5).ask('select', { request: 'q2' }, existing),
);
good('a replica that was frozen while the call moved', () =>
  bound()
    .unregister('r1')
    .bind(second)
    .pass(3)
    .fault('replica-stop', 's1', 8)
    .ask('select', { request: 'q2' }, existing),
);
bad('an answer that was never in etcd', 'answer is of the log', () =>
  bound().ask('select', { request: 'q2' }, { answer: { relay: 'r2', instance: 'i2', origin: 'existing' } }),
);
bad('an answer before it was in etcd', 'answer is of the log', () =>
  bound().ask('lookup', {}, { answer: second }).pass(1).unregister('r1').bind(second),
);
bad('media of a relay that the call was not bound to', 'answer is of the log', () =>
  bound().ask('reoffer', {}, { mediaRelay: 'r2' }),
);
bad('an answer long after a move', 'answer is of its time', () =>
  bound()
    .bind({ ...second, request: 'm1' })
    .ask('move', move, { answer: second })
    .pass(12)
    .ask('lookup', {}, existing),
);
bad('an answer after the binding has expired', 'answer is of its time', () =>
  bound().pass(23).unbind().pass(1).ask('lookup', {}, existing),
);
bad('a relay that left long before', 'relay was registered', () =>
  bound().unregister('r1').pass(12).ask('select', { request: 'q2' }, existing),
);
good('a lookup of a binding whose relay left long before', () =>
  bound().unregister('r1').pass(12).ask('lookup', {}, existing),
);
bad('a replica that answers an older generation than before', 'replica never goes back', () =>
  bound()
    .unregister('r1')
    .bind(second)
    .ask('select', { request: 'q2' }, moved)
    .ask('select', { request: 'q3' }, existing),
);
good('an older generation from another replica, or after a restart', () =>
  bound()
    .unregister('r1')
    .bind(second)
    .ask('select', { request: 'q2' }, moved)
    .ask('select', { request: 'q3', replica: 's2' }, existing)
    .ask('select', { request: 'q4', life: 2 }, existing),
);

bad('a move that was acknowledged but not made', 'acknowledged is done', () =>
  bound().ask('move', move, { answer: second }),
);
bad('a release that was acknowledged but not made', 'acknowledged is done', () =>
  bound().pass(1).ask('release', {}, { found: true }),
);
bad('a request that binds twice', 'retries converge', () =>
  bound().ask('select', { request: 'q1' }, isNew).pass(30).unbind().bind({ createdAtMs: 5 }),
);
bad('NEW for a request that found a binding', 'retries converge', () =>
  bound().ask('select', { request: 'q2' }, isNew),
);
bad('EXISTING for the request that made the binding', 'retries converge', () =>
  bound().ask('select', { request: 'q1' }, existing),
);
const refused = { outcome: 'refused', reason: 'FAILED_PRECONDITION: generation' } as const;
bad('a move that is refused because of its own write', 'retries converge', () =>
  bound()
    .ask('move', move, { outcome: 'unknown' })
    .bind({ ...second, request: 'm1' })
    .pass(1)
    .ask('move', { ...move, replica: 's2' }, refused),
);
good('a move that is refused once the call has ended and begun again', () =>
  bound()
    .ask('move', move, { outcome: 'unknown' })
    .bind({ ...second, request: 'm1', state: 'released' })
    .ask('select', { request: 'q9' }, { outcome: 'unknown' })
    .bind({ ...second, request: 'q9', begun: 'q9' })
    .pass(1)
    .ask('move', { ...move, replica: 's2' }, refused),
);
bad('a move that is refused although it names the current generation', 'retries converge', () =>
  bound().pass(1).ask('move', move, refused),
);
good('a move that is refused because of another move', () =>
  bound()
    .ask('move', move, { outcome: 'unknown' })
    .bind({ ...second, request: 'm1' })
    .ask('move', { ...move, request: 'm2' }, refused),
);
bad('a bound call that is not found', 'bound is found', () =>
  bound().pass(1).ask('lookup', {}, { outcome: 'refused', reason: 'NOT_FOUND: no binding' }),
);
bad('a release of a bound call that finds nothing', 'bound is found', () =>
  bound().pass(1).ask('release', {}, { found: false }),
);

const provisional = { answer: { generation: 0, freshness: 'provisional', origin: 'new' } } as const;
good('a provisional answer that becomes the binding, and a stale answer', () =>
  new SampleHistory()
    .register('r1', 'i1')
    .fault('etcd-down', 'etcd', 10)
    .ask('select', { request: 'q1' }, provisional)
    .bind()
    .ask('select', { request: 'q1' }, { answer: { freshness: 'stale', origin: 'new' } }),
);
bad('a stale answer that was never in etcd', 'stale was true', () =>
  bound().ask('lookup', {}, { answer: { relay: 'r2', freshness: 'stale' } }),
);
bad('a provisional answer while etcd is available', 'provisional in need', () =>
  new SampleHistory().register('r1', 'i1').ask('select', { request: 'q1' }, provisional),
);

test('counts conflicts with provisional answers, and moves', (t) => {
  const { conflicts, moves } = new SampleHistory()
    .register('r1', 'i1')
    .register('r2', 'i2')
    .fault('etcd-down', 'etcd', 10)
    .ask('select', { request: 'q1' }, provisional)
    .bind({ relay: 'r2', instance: 'i2', request: 'q2' })
    .unregister('r2')
    .bind({ generation: 2 }).verdict;
  t.deepEqual({ conflicts, moves }, { conflicts: 1, moves: 1 });
});

testCoverage([
  'log is whole',
  'one binding',
  'generation',
  'live target',
  'cause of move',
  'state',
  'move is told',
  'lifetime',
  'answer is of the log',
  'answer is of its time',
  'relay was registered',
  'replica never goes back',
  'acknowledged is done',
  'retries converge',
  'bound is found',
  'stale was true',
  'provisional in need',
]);
