import test from 'ava';
import type { Row } from '../../bench/bench-case.js';
import { compare, comparisonText } from '../../bench/compare.js';
import { type Judged, judge } from '../../bench/verdict.js';

const row = (candidate: number[], over: Partial<Row> = {}): Judged =>
  judge({ name: 'a row', unit: 'ms', against: '', baseline: [], candidate, aims: [], ...over });

const of = (before: Judged, now: Judged) => compare({ case: { rows: [before] } }, [now])[0];

test('what costs more than before by more than the rounds differ is slower', (t) => {
  t.like(of(row([99, 100, 101]), row([129, 130, 131])), { cost: 1.3, isSlower: true });
  t.like(of(row([60, 100, 140]), row([129, 130, 131])), { cost: 1.3, isSlower: false });
  t.like(of(row([99, 100, 101]), row([79, 80, 81])), { cost: 0.8, isSlower: false });
});

test('of operations in a second fewer are slower', (t) => {
  t.like(of(row([99, 100, 101], { unit: '/s' }), row([49, 50, 51], { unit: '/s' })), {
    cost: 2,
    isSlower: true,
  });
});

test('where there is a baseline its ratio counts: a slower machine is no slower program', (t) => {
  const before = row([100, 100, 100], { baseline: [10, 10, 10] });
  t.like(of(before, row([200, 200, 200], { baseline: [20, 20, 20] })), { cost: 1, isSlower: false });
});

test('a row that was not measured before is not compared', (t) => {
  t.deepEqual(compare({ case: { rows: [row([1])] } }, [row([2], { name: 'another' })]), []);
});

test('the text says by how much, and what is noise', (t) => {
  const comparison = { name: 'a row', cost: 1.3, noise: 0.02, isSlower: true };
  t.is(comparisonText(comparison), 'a row: +30.0 % cost, noise 2 %, SLOWER');
});
