import test from 'ava';
import { newChoice, press } from '../../../services/cli/top/choice.js';

const sortable = ['RELAY', 'CALLS'];

function after(...keys: string[]) {
  const choice = newChoice();
  const ended = keys.map((each) => press(choice, each, sortable));
  return { ...choice, ended: ended.includes(true) };
}

test('s and S go through the columns and back to trouble first, and r turns the order around', (t) => {
  t.is(after('s').sort, 'RELAY');
  t.is(after('s', 's').sort, 'CALLS');
  t.is(after('s', 's', 's').sort, undefined);
  t.is(after('S').sort, 'CALLS');
  t.false(after('r').descending);
});

test('a filter is typed until Enter, and given up with Escape; its letters are no commands', (t) => {
  const typed = after('/', 'q', 'sé', '\x7f', '\x1b[A', '\r');
  t.is(typed.filter, 'qs');
  t.false(typed.typing);
  t.false(typed.ended);
  t.is(after('/abc\x1b').filter, '');
  t.is(after(`/${'x'.repeat(1000)}`).filter.length, 64);
});

test('q ends it, Ctrl-C also while a filter is typed', (t) => {
  t.true(after('q').ended);
  t.true(after('/', '\x03').ended);
});

test('arrows scroll, never above the first row; other keys do nothing', (t) => {
  t.is(after('\x1b[B', '\x1b[B', '\x1b[A').scroll, 1);
  t.is(after('\x1b[A').scroll, 0);
  t.is(after('\x1b[6~').scroll, 10);
  t.deepEqual(after('x', '\x1b[15~', '\u0000'), after());
});
