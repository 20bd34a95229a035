import test from 'ava';
import { ClusterGuard } from '../../../services/etcd/cluster-guard.js';

function open() {
  const refused: string[] = [];
  const guard = new ClusterGuard(({ endpoint }) => refused.push(endpoint));
  const isAdmitted = (endpoint: string, clusterId: string) => {
    try {
      guard.admit(endpoint, clusterId);
      return true;
    } catch {
      return false;
    }
  };
  const answers = (text: string) =>
    text.split(' ').map((each) => {
      const [endpoint = '', clusterId = ''] = each.split('=');
      return { endpoint, clusterId };
    });
  return { guard, refused, isAdmitted, hear: (text: string) => guard.hear(answers(text)) };
}

test('the cluster of most endpoints is used, and the others are refused', (t) => {
  const { hear, refused, isAdmitted } = open();
  hear('x=B e1=A e2=A');
  t.deepEqual(refused, ['x']);
  t.false(isAdmitted('x', 'B'));
  t.true(isAdmitted('e1', 'A'));
});

test('of two clusters with as many endpoints the one that is listed first is used', (t) => {
  const { hear, isAdmitted } = open();
  hear('e1=A x=B');
  t.false(isAdmitted('x', 'B'));
});

test('a stranger is refused even while all members are down', (t) => {
  const { guard, hear, isAdmitted } = open();
  hear('e1=A x=B');
  for (let i = 0; i < 100; i++) {
    guard.silent('e1');
    t.false(isAdmitted('x', 'B'));
  }
  t.true(isAdmitted('e1', 'A'));
});

test('a cluster that was made anew at its endpoints replaces the former', (t) => {
  const one = open();
  t.true(one.isAdmitted('e1', 'A'));
  t.true(one.isAdmitted('e1', 'B'), 'the only endpoint');
  const three = open();
  three.hear('e1=A e2=A e3=A');
  t.false(three.isAdmitted('e1', 'B'), 'one of three may have been taken away');
  t.true(three.isAdmitted('e2', 'B'));
  t.false(three.isAdmitted('e3', 'A'), 'a late answer');
  t.true(three.isAdmitted('e3', 'B'));
});

test('one of two is enough while the other is down', (t) => {
  const { guard, hear, isAdmitted } = open();
  hear('e1=A e2=A');
  t.false(isAdmitted('e1', 'B'));
  guard.silent('e2');
  t.true(isAdmitted('e1', 'B'));
});

test('a cluster that was made anew is told of by all endpoints at once, without a refusal', (t) => {
  const { hear, refused, isAdmitted } = open();
  hear('e1=A e2=A e3=A x=C');
  refused.length = 0;
  hear('e1=B e2=B e3=B x=C');
  t.deepEqual(refused, ['x']);
  t.true(isAdmitted('e1', 'B'));
});

test('streams follow, and change nothing', (t) => {
  const { guard, isAdmitted } = open();
  guard.expect('e1', 'A');
  t.true(isAdmitted('e1', 'A'));
  t.throws(() => guard.expect('e1', 'B'), {
    message: /^e1 is of the etcd cluster B, and the one in use is A$/,
  });
  t.true(isAdmitted('e1', 'A'));
});

test('endpoints that are gone have no say', (t) => {
  const { guard, hear, isAdmitted } = open();
  hear('e1=A e2=A e3=A');
  guard.retain(['e1']);
  t.true(isAdmitted('e1', 'B'));
});
