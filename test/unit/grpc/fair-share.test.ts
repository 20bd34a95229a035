import test from 'ava';
import { FairShare } from '../../../services/grpc/fair-share.js';

test('within the limit nobody gives way', (t) => {
  const share = new FairShare<string>(3);
  t.deepEqual(
    ['a', 'a', 'b'].map((owner) => share.add(owner)),
    [undefined, undefined, undefined],
  );
  t.is(share.total, 3);
});

test('beyond it the owner of the most gives way, whoever came last', (t) => {
  const share = new FairShare<string>(3);
  for (const owner of ['flood', 'flood', 'good']) {
    share.add(owner);
  }
  t.is(share.add('newcomer'), 'flood');
  share.remove('flood');
  share.remove('flood');
  t.is(share.add('good'), undefined);
  t.is(share.add('good'), 'good');
});

test('of several with the most, the one that came first gives way', (t) => {
  const share = new FairShare<string>(2);
  share.add('first');
  share.add('second');
  t.is(share.add('third'), 'first');
});

test('what was never added cannot be removed', (t) => {
  const share = new FairShare<string>(1);
  share.remove('nobody');
  t.is(share.total, 0);
});
