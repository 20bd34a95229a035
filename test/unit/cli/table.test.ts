import test from 'ava';
import { type Column, table } from '../../../services/cli/table.js';
import { type Terminal, terminalOf } from '../../../services/cli/terminal.js';

interface Fruit {
  readonly name: string;
  readonly color: string;
  readonly note: string;
}

const columns: readonly Column<Fruit>[] = [
  { heading: 'NAME', cell: ({ name }) => name },
  { heading: 'COLOR', rank: 2, cell: ({ color }) => color, style: () => 'green' },
  { heading: 'NOTE', rank: 1, cutTo: 8, optional: true, cell: ({ note }) => note },
];
const fruits = [
  { name: 'apple', color: 'red', note: '' },
  { name: 'banana', color: 'yellow', note: 'a berry, as botanists have it' },
];
const pipe: Terminal = { width: undefined, colors: false };
const wide = (width: number): Terminal => ({ width, colors: false });

test('a pipe gets every column, however long', (t) => {
  t.deepEqual(table(columns, fruits, pipe), [
    'NAME    COLOR   NOTE',
    'apple   red',
    'banana  yellow  a berry, as botanists have it',
  ]);
});

test('a terminal gets the columns of the lowest ranks, and no line is longer than it', (t) => {
  t.deepEqual(table(columns, fruits, wide(30)), [
    'NAME    COLOR   NOTE',
    'apple   red',
    'banana  yellow  a berry, as b…',
  ]);
  t.deepEqual(table(columns, fruits, wide(20)), ['NAME    NOTE', 'apple', 'banana  a berry, as…']);
  t.deepEqual(table(columns, fruits, wide(12)), ['NAME', 'apple', 'banana']);
  t.deepEqual(
    table(columns, fruits, wide(2)),
    ['NAME', 'apple', 'banana'],
    'what names the row is never left out',
  );
});

test('a column that has nothing to say takes no room', (t) => {
  t.deepEqual(table(columns, fruits.slice(0, 1), pipe), ['NAME   COLOR', 'apple  red']);
});

test('colors do not change the layout', (t) => {
  const lines = table(columns, fruits, { width: 80, colors: true });
  t.true(lines[1]?.includes('\x1b[32mred\x1b[39m'));
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the colors
  const plain = lines.map((line) => line.replaceAll(/\x1b\[\d+m/g, ''));
  t.deepEqual(plain, table(columns, fruits, wide(80)));
});

test('what anybody can write into a cell does not reach the terminal as a command', (t) => {
  const note = 'a\tb\x1b[2Jc\u2028d\u202ee';
  t.is(table(columns, [{ name: 'x', color: 'y', note }], pipe)[1], 'x     y      a?b?[2Jc?d?e');
});

test('only a terminal has a width and colors', (t) => {
  const stream = (isTTY: boolean, columns: number) =>
    ({ isTTY, columns, hasColors: () => true }) as unknown as NodeJS.WriteStream;
  t.deepEqual(terminalOf(stream(false, 100)), { width: undefined, colors: false });
  t.deepEqual(terminalOf(stream(true, 100)), { width: 100, colors: true });
  t.is(terminalOf(stream(true, 0)).width, 80, 'one that does not know how wide it is');
});
