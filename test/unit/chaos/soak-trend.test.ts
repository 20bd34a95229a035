import test from 'ava';
import { type Series, trendOf } from '../../chaos/soak/trend.js';

function series(valueAt: (minute: number) => number, by: Series['by'] = 'most'): Series {
  const points = Array.from({ length: 40 }, (_, minutes) => ({ minutes, value: valueAt(minutes) }));
  return { name: 'figure', unit: '', by, allowed: { share: 0.1, amount: 5 }, points };
}

test('a metric that fills up and then stays is not growing', (t) => {
  const { grows, perHour, first } = trendOf(series((minute) => Math.min(100, minute * 20)));
  t.deepEqual({ grows, perHour, first }, { grows: false, perHour: 0, first: 0 });
});

test('a metric that keeps growing is growing', (t) => {
  const { grows, perHour, early, late, limit } = trendOf(series((minute) => 100 + minute));
  t.true(grows);
  t.is(Math.round(perHour), 60);
  t.deepEqual([early, late, Math.round(limit)], [119, 139, 136]);
});

test('memory is judged by what garbage collection leaves', (t) => {
  const sawtooth = (minute: number) => 50 + (minute % 5) * minute;
  t.true(trendOf(series(sawtooth, 'most')).grows);
  t.false(trendOf(series(sawtooth, 'least')).grows);
});

test('too few samples are an error', (t) => {
  const { points, ...rest } = series(() => 1);
  t.throws(() => trendOf({ ...rest, points: points.slice(0, 7) }), { message: /7 samples/ });
});
