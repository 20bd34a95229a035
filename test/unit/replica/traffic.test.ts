import test from 'ava';
import { Traffic } from '../../../services/replica/traffic.js';
import { ManualClock } from '../../support/clock.js';

function scene() {
  const clock = new ManualClock();
  return { clock, traffic: new Traffic(clock) };
}

test('rates are over the last ten whole seconds, and end with them', (t) => {
  const { clock, traffic } = scene();
  t.deepEqual(traffic.rates(), { newPerSecond: 0, newByRelay: new Map(), p99Ms: undefined });
  clock.advance(20_000);
  for (let second = 0; second < 10; second++) {
    traffic.bound('default', 'media-1');
    traffic.bound('default', 'media-1');
    traffic.bound('edge', 'media-1');
    clock.advance(1000);
  }
  const { newPerSecond, newByRelay } = traffic.rates();
  t.is(newPerSecond.toFixed(2), '3.00');
  t.deepEqual(
    [...newByRelay].map(([key, rate]) => `${key} ${rate.toFixed(2)}`),
    ['default/media-1 2.00', 'edge/media-1 1.00'],
  );
  clock.advance(11_000);
  t.is(traffic.rates().newPerSecond, 0);
});

test('a replica that has run for less than ten seconds has rates over that time', (t) => {
  const { clock, traffic } = scene();
  traffic.bound('default', 'media-1');
  traffic.bound('default', 'media-1');
  clock.advance(2000);
  t.is(traffic.rates().newPerSecond, 1);
});

test('p99 is the time that all but one of a hundred requests keep, a fifth too much at most', (t) => {
  const { clock, traffic } = scene();
  for (let i = 0; i < 990; i++) {
    traffic.answered(6);
  }
  for (let i = 0; i < 10; i++) {
    traffic.answered(900);
  }
  clock.advance(1000);
  const { p99Ms = 0 } = traffic.rates();
  t.true(p99Ms >= 6 && p99Ms < 7.2, `${p99Ms}`);
  for (const durationMs of [0, 60_000, Number.MAX_VALUE]) {
    for (let i = 0; i < 1000; i++) {
      traffic.answered(durationMs);
    }
  }
  clock.advance(1000);
  t.true((traffic.rates().p99Ms ?? 0) > 10_000);
});
