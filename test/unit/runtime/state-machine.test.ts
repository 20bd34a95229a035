import { AssertionError } from 'node:assert';
import test from 'ava';
import { StateMachine } from '../../../services/runtime/state-machine.js';

type Door = { readonly name: 'open'; readonly by: string } | { readonly name: 'closed' };

test('a machine takes the transitions of its table and no other', (t) => {
  const door = new StateMachine<Door>({ name: 'closed' }, { open: ['closed'], closed: ['open'] });
  door.enter({ name: 'open', by: 'a' });
  t.deepEqual(door.state, { name: 'open', by: 'a' });
  t.throws(() => door.enter({ name: 'open', by: 'b' }), {
    instanceOf: AssertionError,
    message: 'illegal transition: open to open',
  });
  t.deepEqual(door.state, { name: 'open', by: 'a' }, 'it stays where it was');
  door.enter({ name: 'closed' });
  t.deepEqual(door.state, { name: 'closed' });
});
