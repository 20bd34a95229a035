import test from 'ava';
import { InstanceTable } from '../../../../services/selection/cache/instance-table.js';

const life = (relayId: string, instance: string) => ({ set: 'default', relayId, instance });

test('each life of a relay has a number for as long as a binding uses it', (t) => {
  const table = new InstanceTable();
  const first = table.take(life('r1', 'a'));
  t.is(table.take(life('r1', 'a')), first);
  const second = table.take(life('r1', 'b'));
  t.not(second, first);
  t.like(table.get(second), life('r1', 'b'));
  t.deepEqual([...table.countsByRelay()], [['default/r1', 3]]);
  table.release(first);
  t.is(table.size, 2);
  table.release(first);
  t.is(table.size, 1);
  t.is(table.take(life('r2', 'c')), first, 'numbers are used again');
});

test('a number that nobody has taken cannot be released', (t) => {
  const table = new InstanceTable();
  const number = table.take(life('r1', 'a'));
  table.release(number);
  t.throws(() => table.release(number), { message: /released is taken/ });
});
