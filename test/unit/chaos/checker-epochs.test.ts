import { bad, good, testCoverage } from '../../support/checked-history.js';
import { SampleHistory } from '../../support/sample-history.js';

const registered = () => new SampleHistory().register('r1', 'i1').register('r2', 'i2');
/** A call that request `q1` has bound to the first of two relays. */
const bound = () => registered().bind();
/** The same through a gateway, in progress. */
const talking = () =>
  registered()
    .bind()
    .ask('offer', {}, { mediaRelay: 'r1' })
    .bind({ state: 'answered' })
    .ask('answer', {}, { mediaRelay: 'r1' })
    .pass(2);

const second = { relay: 'r2', instance: 'i2', generation: 2 };
const existing = { answer: { origin: 'existing' } } as const;
const moved = { answer: { ...second, origin: 'moved' } } as const;
const move = { request: 'm1', generation: 1 };
const back = (history: SampleHistory) => history.register('r1', 'i1').register('r2', 'i2');
const movedCall = () =>
  bound()
    .save()
    .ask('move', move, { outcome: 'unknown' })
    .bind({ ...second, request: 'm1' })
    .ask('select', { request: 'q2' }, moved)
    .pass(1);

good('a binding that is written again after a wipe', () =>
  back(talking().wipe()).bind({ state: 'answered' }).ask('reoffer', {}, { mediaRelay: 'r1' }),
);
good('a call that nobody carries, which begins anew after a wipe', () =>
  back(bound().wipe())
    .bind({ relay: 'r2', instance: 'i2', request: 'q1', createdAtMs: 5 })
    .ask(
      'select',
      { request: 'q1' },
      { answer: { relay: 'r2', instance: 'i2', createdAtMs: 5, origin: 'new' } },
    ),
);
good('the puts of a key that begin at 1 again after a wipe, and go on where they were after a restore', () =>
  back(bound().bind().save().bind().wipe()).bind().bind().restore().bind().bind(),
);
good('an answer from memory just after a wipe', () => bound().wipe().pass(3).ask('lookup', {}, existing));
good('a call that is not found after a wipe', () =>
  bound().wipe().pass(1).ask('lookup', {}, { outcome: 'refused', reason: 'NOT_FOUND: no binding' }),
);
bad('an answer from memory long after a wipe', 'answer is of its time', () =>
  back(bound().wipe()).pass(13).ask('lookup', {}, existing),
);
bad('a binding to a relay that has not registered again', 'live target', () => bound().wipe().bind());
good('an end that is remembered, and written over what a late request has begun after a wipe', () =>
  back(
    bound()
      .ask('select', { request: 'q1', replica: 's2' }, { outcome: 'unknown' })
      .bind({ state: 'released' })
      .wipe(),
  )
    .bind({ relay: 'r2', instance: 'i2', createdAtMs: 9 })
    .bind({ state: 'released' }),
);
good('a released call that needs no relay to be written again', () =>
  bound().bind({ state: 'released' }).wipe().bind({ state: 'released' }),
);

good('a move that a restored etcd has forgotten, and that is written again', () =>
  movedCall()
    .restore()
    .bind({ ...second, request: 'm1' })
    .ask('select', { request: 'q3' }, moved),
);
good('a call that goes on above the move that was forgotten', () =>
  movedCall()
    .restore()
    .bind({ ...second, generation: 3, request: 'q4', createdAtMs: 7, begun: 'q4' }),
);
bad('a call that goes on below the move that was forgotten', 'generation', () =>
  movedCall()
    .restore()
    .bind({ relay: 'r1', instance: 'i1', generation: 1, request: 'q4', createdAtMs: 7, begun: 'q4' }),
);
bad('a move that comes back as another generation after a wipe', 'generation', () =>
  back(movedCall().wipe()).bind({ ...second, generation: 5, request: 'm1' }),
);
bad('a replica that believes a restored etcd that is behind what it said', 'replica never goes back', () =>
  movedCall().restore().ask('select', { request: 'q3' }, existing),
);
good('another replica that has not heard of the move', () =>
  movedCall().restore().ask('select', { request: 'q3', replica: 's2' }, existing),
);

good(
  'one that writes what it was before, until those that have heard put the call above all that it was',
  () =>
    back(movedCall().wipe())
      .bind({ request: 'q1' })
      .bind({ relay: 'r1', instance: 'i1', generation: 3, state: 'answered', request: 'q4' }),
);
bad('a call in progress that is bound elsewhere after a wipe', 'call stays', () =>
  back(talking().wipe()).bind({ relay: 'r2', instance: 'i2', request: 'q9', createdAtMs: 9, begun: 'q9' }),
);
good('one whose relay was killed meanwhile', () =>
  back(talking().fault('relay-kill', 'r1', 1).register('r1', 'i9').wipe()).bind({
    relay: 'r2',
    instance: 'i2',
    request: 'q9',
    createdAtMs: 9,
    begun: 'q9',
  }),
);
bad('a re-INVITE that is sent to another relay than the one that carries the call', 'call stays', () =>
  talking().ask('reoffer', {}, { mediaRelay: 'r2' }),
);
good('a call that begins again elsewhere after its end', () =>
  back(talking().ask('delete', {}).bind({ state: 'released' }).wipe()).bind({
    relay: 'r2',
    instance: 'i2',
    request: 'q9',
    createdAtMs: 9,
    begun: 'q9',
  }),
);

const isBound = { state: 'answered' } as const;
bad('a call that was released, and is in progress again after a wipe', 'ended stays ended', () =>
  back(talking().ask('delete', {}).bind({ state: 'released' }).wipe()).bind(isBound),
);
good('a call that nobody but Holdfast ended, whose next request goes on with it', () =>
  back(bound().bind({ state: 'released' }).wipe())
    .bind({ ...second, request: 'q2', state: 'answered' })
    .ask('select', { request: 'q2' }, { answer: { ...second, origin: 'moved' } }),
);
bad('the same without such a request', 'ended stays ended', () =>
  back(bound().bind({ state: 'released' }).wipe()).bind({ ...second, request: 'q2', state: 'answered' }),
);
good('a relay that could not say that the call has ended', () =>
  back(talking().ask('delete', {}).bind({ state: 'released' }).wipe())
    .fault('relay-stop', 'r1', 3)
    .bind(isBound),
);
good('a restored etcd that has the call in progress, until it is released again', () =>
  talking().save().ask('delete', {}).bind({ state: 'released' }).restore().bind({ state: 'released' }),
);
bad('a restored etcd that is believed to have the call in progress', 'ended stays ended', () =>
  back(talking().save().ask('delete', {}).bind({ state: 'released' }).restore())
    .pass(11)
    .ask('lookup', {}, { answer: { origin: 'existing' } }),
);
good('a call that was promised elsewhere by another replica without etcd, until that is corrected', () =>
  registered()
    .fault('etcd-down', 'etcd', 5)
    .ask('answer', {}, { mediaRelay: 'r1' })
    .bind({ relay: 'r2', instance: 'i2' })
    .pass(1)
    .bind({ generation: 2, state: 'answered' }),
);
const promisedElsewhere = () =>
  registered()
    .fault('etcd-down', 'etcd', 5)
    .ask('answer', {}, { mediaRelay: 'r1' })
    .bind({ relay: 'r2', instance: 'i2' })
    .pass(1);
good('until the replica that knows where it is goes on', () =>
  promisedElsewhere().fault('replica-stop', 's1', 10).pass(2).bind({ generation: 2, state: 'answered' }),
);
good('or, if that one was killed, for good', () =>
  promisedElsewhere().fault('replica-kill', 's1', 1).pass(30),
);
bad('one that nobody corrects while that replica is well', 'call stays', () =>
  promisedElsewhere().fault('replica-stop', 's2', 10).pass(2).bind({ generation: 2, state: 'answered' }),
);
bad('a relay that carries a call long after its end was acknowledged', 'ended stays ended', () =>
  talking().ask('delete', {}).bind({ state: 'released' }).pass(17).carry('r1'),
);
good('a relay whose clock was wrong by seconds when the call ended', () =>
  talking()
    .fault('clock-step', 'r1', 2, 3000)
    .ask('delete', {})
    .bind({ state: 'released' })
    .pass(17)
    .carry('r1'),
);
bad('a relay whose clock was wrong by minutes then', 'ended stays ended', () =>
  talking()
    .fault('clock-step', 'r1', 2, 90_000)
    .ask('delete', {})
    .bind({ state: 'released' })
    .pass(17)
    .carry('r1'),
);
good('a relay that carries it until the deletion is tried again', () =>
  talking().ask('delete', {}).bind({ state: 'released' }).pass(8).carry('r1'),
);
good('a relay that could not be told', () =>
  talking().ask('delete', {}).fault('control-loss', 'r1', 20).carry('r1'),
);

good('a call on one relay', () => talking().pass(17).carry('r1').carry('r1'));
bad('a call in progress on two relays', 'one relay', () => talking().pass(17).carry('r1').carry('r2'));
good('a call on two relays of which one cannot be told', () =>
  talking().pass(17).fault('control-loss', 'r2', 2).carry('r1').carry('r2'),
);
good('a call that a gateway without etcd has sent elsewhere', () =>
  talking()
    .fault('etcd-down', 'etcd', 5)
    .fault('relay-stop', 'r1', 5)
    .ask('reoffer', {}, { mediaRelay: 'r2' })
    .pass(17)
    .carry('r1')
    .carry('r2'),
);

bad('a replica that does not get updates again', 'recovers', () => talking().heal().probe(['r1'], false));
bad('a replica that lists a relay too late', 'recovers', () =>
  talking().heal().probe([]).pass(31).probe(['r1']),
);
bad('a relay that is not registered after the last fault', 'recovers', () =>
  talking().wipe().heal().probe(['r1']),
);
good('a relay that comes back a little later', () =>
  back(talking().wipe().heal().pass(5)).probe(['r1', 'r2']),
);

good('a binding whose expiry was dated by a clock that was ahead', () =>
  registered()
    .fault('clock-step', 's1', 2, 300_000)
    .bind({ expiresAtMs: 1_800_000_000_000 + 322_500 })
    .pass(23)
    .unbind(),
);
good('one that was dated so before etcd was restored, and ends after it', () =>
  back(
    registered()
      .fault('clock-step', 's1', 2, 300_000)
      .bind({ expiresAtMs: 1_800_000_000_000 + 322_500 })
      .save()
      .pass(10)
      .bind({ expiresAtMs: 1_800_000_000_000 + 40_000 })
      .wipe()
      .restore(),
  )
    .pass(23)
    .unbind(),
);
bad('one whose expiry was dated by a clock that was right', 'lifetime', () =>
  registered()
    .bind({ expiresAtMs: 1_800_000_000_000 + 322_500 })
    .pass(23)
    .unbind(),
);
bad('a provisional answer of a replica whose clock has stepped', 'provisional in need', () =>
  registered()
    .fault('clock-step', 's1', 2, 300_000)
    .ask('select', { request: 'q1' }, { answer: { generation: 0, freshness: 'provisional', origin: 'new' } }),
);

testCoverage(['call stays', 'ended stays ended', 'one relay', 'recovers']);
