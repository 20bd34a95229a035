import test from 'ava';
import fc from 'fast-check';
import { EtcdHistory } from '../../../services/etcd/history.js';

function open() {
  const history = new EtcdHistory();
  const reasons: string[] = [];
  history.onChange(({ reason }) => reasons.push(reason));
  /** A request that is answered before the next is sent. */
  const hear = (revision: number, clusterId = 'c1') => history.begin()({ clusterId, revision });
  return { history, reasons, hear };
}

test('revisions that go up, or stay, are one history', (t) => {
  const { reasons, hear } = open();
  for (const revision of [1, 5, 5, 5000, 10_000_000]) {
    hear(revision);
  }
  t.deepEqual(reasons, []);
});

test('answers that overtake each other are one history, in any order', (t) => {
  const aRequest = fc.record({ sentAt: fc.nat({ max: 50 }), tookFor: fc.nat({ max: 50 }) });
  fc.assert(
    fc.property(fc.array(aRequest, { minLength: 1, maxLength: 40 }), (requests) => {
      const { history, reasons } = open();
      // etcd's revision is the time; each answer tells that of a moment between sending and arrival.
      const arriving = new Map<number, (() => void)[]>();
      for (let now = 0; now <= 100; now++) {
        for (const { sentAt, tookFor } of requests.filter(({ sentAt: at }) => at === now)) {
          const judge = history.begin();
          const at = now + tookFor;
          const answeredAt = sentAt + Math.floor(tookFor / 2);
          const judgeIt = () => judge({ clusterId: 'c1', revision: answeredAt + 1 });
          arriving.set(at, [...(arriving.get(at) ?? []), judgeIt]);
        }
        for (const judgeIt of arriving.get(now) ?? []) {
          judgeIt();
        }
      }
      t.deepEqual(reasons, []);
    }),
  );
});

test('a revision that goes back is another history, and told once', (t) => {
  const { reasons, hear } = open();
  hear(500);
  hear(499);
  t.deepEqual(reasons, ['revision 499 came after 500']);
  hear(499);
  hear(500);
  t.is(reasons.length, 1);
  hear(3);
  t.is(reasons.length, 2);
});

test('another cluster is another history, and told once', (t) => {
  const { reasons, hear } = open();
  hear(500);
  hear(900, 'c2');
  t.deepEqual(reasons, ['cluster c2 answers instead of c1']);
  hear(901, 'c2');
  t.is(reasons.length, 1);
});

test('answers that were under way when history changed begin no other', (t) => {
  const { history, reasons, hear } = open();
  hear(500);
  const late = [history.begin(), history.begin()];
  hear(20, 'c2');
  t.is(reasons.length, 1);
  for (const judge of late) {
    judge({ clusterId: 'c1', revision: 501 });
  }
  hear(21, 'c2');
  t.is(reasons.length, 1, 'what the former cluster said late is not heard');

  const { history: one, reasons: told, hear: hearOne } = open();
  hearOne(500);
  const others = [one.begin(), one.begin()];
  hearOne(3);
  t.is(told.length, 1);
  for (const judge of others) {
    judge({ clusterId: 'c1', revision: 4 });
  }
  t.is(told.length, 1, 'all of them tell of the same loss');
});

test('a restore with raised revisions is another history', (t) => {
  const { reasons, hear } = open();
  hear(1_000_000_000_000);
  t.deepEqual(reasons, [], 'the first revision says nothing');
  hear(1_000_000_001_000);
  hear(1_001_000_001_000);
  t.deepEqual(reasons, ['revision 1001000001000 came after 1000000001000']);
});
